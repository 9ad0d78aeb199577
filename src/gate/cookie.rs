//! The one cookie that the gate knows: the session of a browser, which is a credential as a token is.

/// The names of the session cookie: over TLS, and on this machine without. Browsers take the first over TLS only, and
/// from this host only.
pub const SESSION_COOKIES: [&str; 2] = ["__Host-dbward-session", "dbward-session"];

/// The value of the cookie of that name, where there is exactly one and it is not empty.
pub fn find<'c>(cookies: &'c str, name: &str) -> Option<&'c str> {
    let mut found = cookies.split(';').filter_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name).then_some(value)
    });
    let value = found.next()?;
    (found.next().is_none() && !value.is_empty()).then_some(value)
}

/// The session of a browser, whatever the cookie is called.
pub fn session(cookies: &str) -> Option<&str> {
    SESSION_COOKIES.iter().find_map(|name| find(cookies, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_cookie_of_the_name_counts() {
        for (cookies, value) in [
            ("dbward-session=a", Some("a")),
            ("x=1; dbward-session=a=b; y", Some("a=b")),
            ("dbward-session=a; dbward-session=b", None),
            ("dbward-session=", None),
            ("xdbward-session=a; Dbward-Session=b", None),
            ("__Host-dbward-session=t; dbward-session=a", Some("t")),
        ] {
            assert_eq!(session(cookies), value, "{cookies}");
        }
    }
}
