//! The bucket over a wire that remembers what it was given: where calls go, and how long they may take.

use super::*;
use crate::config::{Endpoint, S3Credentials, Secret};
use crate::crypto::uuid;
use std::sync::Mutex;

/// Answers every call the same, and keeps URL, host and time of each.
struct Ear {
    reply: WireResponse,
    calls: Mutex<Vec<(String, String, Duration)>>,
}

impl Wire for Ear {
    fn send(&self, call: &WireRequest<'_>) -> Result<WireResponse, NoResponse> {
        let host = call.headers.iter().find(|(name, _)| *name == "host");
        let host = host.map(|(_, value)| value.clone()).unwrap_or_default();
        let calls = (call.url.to_owned(), host, call.timeout);
        self.calls.lock().unwrap().push(calls);
        Ok(self.reply.clone())
    }
}

fn storage() -> S3Storage {
    S3Storage {
        bucket: "shelf".to_owned(),
        region: "eu-west-1".to_owned(),
        endpoint: None,
        path_style: false,
        prefix: "kept".to_owned(),
        expiry_tag: true,
        credentials: S3Credentials {
            access_key_id: "id".to_owned(),
            secret_access_key: Secret::new("secret"),
            session_token: None,
        },
    }
}

fn over(storage: S3Storage, status: u16) -> (S3, Arc<Ear>) {
    let ear = Arc::new(Ear {
        reply: WireResponse {
            status,
            body: b"<ListBucketResult></ListBucketResult>".to_vec(),
            etag: None,
        },
        calls: Mutex::new(Vec::new()),
    });
    let wire = Arc::clone(&ear);
    let metrics = Arc::new(Metrics::new());
    let patience = Patience::default();
    (
        S3::new(storage, wire, Clock::system(), metrics, 1, patience),
        ear,
    )
}

#[test]
fn a_bucket_stands_before_the_host_or_in_the_path() {
    let endpoint = |url: &str| Some(Endpoint::parse(url).unwrap());
    let named = |region: &str| S3Storage {
        region: region.to_owned(),
        ..storage()
    };
    let mine = |url: &str, path_style: bool| S3Storage {
        endpoint: endpoint(url),
        path_style,
        ..storage()
    };
    let bare = S3Storage {
        prefix: String::new(),
        path_style: true,
        ..storage()
    };
    let key = format!("{}/{}", uuid(), uuid());
    for (storage, origin, path, within) in [
        (
            named("eu-west-1"),
            "https://shelf.s3.eu-west-1.amazonaws.com",
            "",
            "kept/",
        ),
        (
            named("cn-north-1"),
            "https://shelf.s3.cn-north-1.amazonaws.com.cn",
            "",
            "kept/",
        ),
        (bare, "https://s3.eu-west-1.amazonaws.com", "/shelf", ""),
        (
            mine("http://[::1]:9000/", true),
            "http://[::1]:9000",
            "/shelf",
            "kept/",
        ),
        (
            mine("http://localhost:9000", false),
            "http://shelf.localhost:9000",
            "",
            "kept/",
        ),
    ] {
        let (store, ear) = over(storage, 200);
        store.put(&key, b"x", Timestamp(0)).unwrap();
        store.list(None, 5).unwrap();
        let calls = ear.calls.lock().unwrap();
        assert_eq!(calls[0].0, format!("{origin}{path}/{within}{key}"));
        let root = if path.is_empty() { "/" } else { path };
        let prefix = within.replace('/', "%2F");
        let query = format!("list-type=2&max-keys=5&prefix={prefix}");
        assert_eq!(calls[1].0, format!("{origin}{root}?{query}"));
        let host = origin.split("://").nth(1).unwrap();
        assert!(
            calls.iter().all(|(_, configured, _)| configured == host),
            "{host}"
        );
    }
}

#[test]
fn large_body_has_more_time_within_patience_of_an_agent() {
    let (store, ear) = over(storage(), 200);
    let key = format!("{}/{}", uuid(), uuid());
    let secs = |bytes: usize| {
        store.put(&key, &vec![0; bytes], Timestamp(0)).unwrap();
        ear.calls.lock().unwrap().pop().unwrap().2.as_secs()
    };
    assert_eq!(secs(10), 5);
    assert_eq!(secs(5 * 1024 * 1024), 10);
    assert_eq!(secs(32 * 1024 * 1024), 15);
    // The 0.1.6 agent gives a report 30 s, and every call of ours is answered within 60 s.
    let patience = Patience::default();
    assert!(patience.try_max < patience.total && patience.total < Duration::from_secs(30));
    // Three calls, before the next probe is due.
    assert!(patience.probe * 3 < Duration::from_secs(10));
}

#[test]
fn tries_and_pauses_are_bounded() {
    let (store, ear) = over(storage(), 503);
    let began = Instant::now();
    store.delete(&format!("{}/{}", uuid(), uuid())).unwrap_err();
    assert_eq!(ear.calls.lock().unwrap().len(), TRIES_MAX as usize);
    assert!(began.elapsed() < Duration::from_secs(10));
    for tries in 1..TRIES_MAX {
        let whole = PAUSE_FIRST * 2_u32.pow(tries - 1);
        for _ in 0..100 {
            let pause = pause(tries);
            assert!(pause >= whole / 2 && pause <= whole, "{tries}: {pause:?}");
        }
    }
    // A probe is made once.
    store.probe().unwrap_err();
    assert_eq!(ear.calls.lock().unwrap().len(), TRIES_MAX as usize + 1);
}
