//! Signatures of calls: AWS Signature Version 4, with the hash of the body, in the `authorization` header.

use crate::clock::Timestamp;
use crate::config::S3Credentials;
use crate::crypto::{hex, hmac_sha256, sha256_hex};
use crate::objects::wire::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What is not written as `%..`: letters, digits and these four.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// The same with the slashes between the parts of a path.
const PATH: &AsciiSet = &UNRESERVED.remove(b'/');

/// `text` as it stands within a query or the value of a tag.
pub(super) fn encode(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

/// `text` as it stands in a path.
pub(super) fn encode_path(text: &str) -> String {
    utf8_percent_encode(text, PATH).to_string()
}

/// A call before it is signed.
pub(super) struct Unsigned<'a> {
    pub(super) method: Method,
    /// Host and port as the `host` header says them.
    pub(super) host: &'a str,
    pub(super) path: &'a str,
    /// Names and values, not encoded, in any order.
    pub(super) query: &'a [(&'a str, &'a str)],
    /// Further headers, names in lower case.
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: &'a [u8],
}

/// The query of a URL, in the order and form that are signed.
pub(super) fn query_text(query: &[(&str, &str)]) -> String {
    let mut pairs: Vec<(String, String)> =
        query.iter().map(|(k, v)| (encode(k), encode(v))).collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.into_iter().map(|(k, v)| format!("{k}={v}")).collect();
    pairs.join("&")
}

/// The headers of the call, `host` and `authorization` included.
pub(super) fn sign(
    call: Unsigned<'_>,
    region: &str,
    credentials: &S3Credentials,
    at: Timestamp,
) -> Vec<(&'static str, String)> {
    let (day, time) = timestamps(at);
    let body_sha256 = sha256_hex(call.body);
    let mut headers = call.headers;
    headers.push(("host", call.host.to_owned()));
    headers.push(("x-amz-content-sha256", body_sha256.clone()));
    headers.push(("x-amz-date", time.clone()));
    if let Some(token) = &credentials.session_token {
        headers.push(("x-amz-security-token", token.expose().to_owned()));
    }
    headers.sort_by_key(|(name, _)| *name);
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let lines: String = headers
        .iter()
        .map(|(name, value)| format!("{name}:{}\n", value.trim()))
        .collect();
    let canonical = format!(
        "{}\n{}\n{}\n{lines}\n{names}\n{body_sha256}",
        call.method.as_str(),
        call.path,
        query_text(call.query)
    );
    let scope = format!("{day}/{region}/s3/aws4_request");
    let text = format!(
        "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
        sha256_hex(canonical.as_bytes())
    );
    let secret = format!("AWS4{}", credentials.secret_access_key.expose());
    let parts = [day.as_str(), region, "s3", "aws4_request"];
    let key = parts.iter().fold(secret.into_bytes(), |key, part| {
        hmac_sha256(&key, part.as_bytes()).to_vec()
    });
    let signature = hex(&hmac_sha256(&key, text.as_bytes()));
    let id = &credentials.access_key_id;
    headers.push((
        "authorization",
        format!(
            "AWS4-HMAC-SHA256 Credential={id}/{scope},SignedHeaders={names},Signature={signature}"
        ),
    ));
    headers
}

/// `YYYYMMDD` and `YYYYMMDDTHHMMSSZ`.
fn timestamps(at: Timestamp) -> (String, String) {
    let text = at.rfc3339();
    let whole = text.split('.').next().unwrap_or_default();
    let time = format!("{}Z", whole.replace(['-', ':'], ""));
    (time.chars().take(8).collect(), time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn credentials() -> S3Credentials {
        S3Credentials {
            access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret_access_key: Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
            session_token: None,
        }
    }

    /// The signature of a call of 24 May 2013, as in the examples that Amazon publishes.
    fn signature(call: Unsigned<'_>) -> String {
        let at = Timestamp::parse("2013-05-24T00:00:00Z").unwrap();
        let headers = sign(call, "us-east-1", &credentials(), at);
        let (_, value) = headers.iter().find(|(n, _)| *n == "authorization").unwrap();
        value.rsplit_once("Signature=").unwrap().1.to_owned()
    }

    const HOST: &str = "examplebucket.s3.amazonaws.com";

    #[test]
    fn the_published_examples_come_out_as_published() {
        let get = Unsigned {
            method: Method::Get,
            host: HOST,
            path: "/test.txt",
            query: &[],
            headers: vec![("range", "bytes=0-9".to_owned())],
            body: b"",
        };
        assert_eq!(
            signature(get),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
        let path = encode_path("/test$file.text");
        let put = Unsigned {
            method: Method::Put,
            host: HOST,
            path: &path,
            query: &[],
            headers: vec![
                ("x-amz-storage-class", "REDUCED_REDUNDANCY".to_owned()),
                ("date", "Fri, 24 May 2013 00:00:00 GMT".to_owned()),
            ],
            body: b"Welcome to Amazon S3.",
        };
        assert_eq!(
            signature(put),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
        );
        for (query, wanted) in [
            (
                &[("lifecycle", "")][..],
                "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            ),
            (
                &[("prefix", "J"), ("max-keys", "2")],
                "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            ),
        ] {
            let list = Unsigned {
                method: Method::Get,
                host: HOST,
                path: "/",
                query,
                headers: Vec::new(),
                body: b"",
            };
            assert_eq!(signature(list), wanted, "{query:?}");
        }
    }

    #[test]
    fn a_session_token_is_sent_and_signed() {
        let lent = S3Credentials {
            session_token: Some(Secret::new("lent")),
            ..credentials()
        };
        let call = || Unsigned {
            method: Method::Delete,
            host: HOST,
            path: "/a",
            query: &[],
            headers: Vec::new(),
            body: b"",
        };
        let headers = sign(call(), "us-east-1", &lent, Timestamp(0));
        assert!(headers.contains(&("x-amz-security-token", "lent".to_owned())));
        let (_, signed) = headers.last().unwrap();
        assert!(signed.contains(";x-amz-security-token,"), "{signed}");
        assert!(!signed.contains("wJalr"));
    }

    #[test]
    fn what_could_be_taken_apart_is_encoded() {
        assert_eq!(encode("a b/c+d&e=f~g"), "a%20b%2Fc%2Bd%26e%3Df~g");
        assert_eq!(encode_path("/a b/c"), "/a%20b/c");
        assert_eq!(query_text(&[("b", "/"), ("a", "")]), "a=&b=%2F");
    }
}
