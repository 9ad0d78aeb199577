//! Where results are kept: the same claims of the folder, of a fake bucket and of a real one; and a store that speaks
//! S3 in every mood. `served` has what the server makes of it.

mod served;

use crate::support::{Bucket, StoreMood as Mood, Temp, eventually, real_bucket, storage};
use dbward::clock::{Clock, Timestamp};
use dbward::crypto::{hex, random, uuid};
use dbward::error::ErrorKind;
use dbward::metrics::Metrics;
use dbward::objects::s3::Patience;
use dbward::objects::{Local, Objects, S3};
use dbward::outbound::{Http, NetworkReach};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Short, so that a store that says nothing is given up soon.
const SOON: Patience = Patience {
    try_base: Duration::from_millis(300),
    try_max: Duration::from_millis(300),
    total: Duration::from_millis(800),
    probe: Duration::from_millis(300),
};

fn key() -> String {
    format!("{}/{}", uuid(), uuid())
}

fn over(section: &str, calls_max: usize, patience: Patience, metrics: &Arc<Metrics>) -> S3 {
    let reach = NetworkReach {
        here: true,
        private: false,
        ..NetworkReach::default()
    };
    S3::new(
        storage(section),
        Arc::new(Http::keeping(reach, 2)),
        Clock::system(),
        Arc::clone(metrics),
        calls_max,
        patience,
    )
}

/// The bucket of that section, over the network.
pub fn patient(section: &str) -> S3 {
    over(section, 4, Patience::default(), &Arc::new(Metrics::new()))
}

/// What every place of results does. It must be empty at first.
fn conforms(store: &dyn Objects) {
    store.probe().unwrap();
    assert_eq!(store.list(None, 10).unwrap(), []);
    let (one, soon) = (key(), Clock::system().now().plus_secs(3_600));
    assert_eq!(store.get(&one, 10).unwrap(), None);
    store.delete(&one).unwrap();

    // Every byte there is, none, and as many as there may be.
    let large: Vec<u8> = (0..12 * 1024 * 1024_u32).map(|n| (n % 251) as u8).collect();
    let every: Vec<u8> = (0..=255).collect();
    for bytes in [&every[..], &[], &large] {
        store.put(&one, bytes, soon).unwrap();
        let read = store.get(&one, bytes.len() as u64).unwrap().unwrap();
        assert!(read == bytes, "{} bytes", bytes.len());
    }
    // What has grown shows, and is not read whole.
    let read = store.get(&one, 10).unwrap().unwrap();
    assert_eq!(read, large[..11]);

    let mut keys: Vec<String> = (0..3).map(|_| key()).collect();
    let request = keys[0].split('/').next().unwrap().to_owned();
    keys.extend((0..3).map(|_| format!("{request}/{}", uuid())));
    for key in &keys {
        store.put(key, b"x", soon).unwrap();
    }
    keys.push(one.clone());
    keys.sort();
    let all = store.list(None, 100).unwrap();
    let listed: Vec<&String> = all.iter().map(|object| &object.key).collect();
    assert_eq!(listed, keys.iter().collect::<Vec<_>>());
    let written = all[0].stored_at;
    let now = Clock::system().now();
    let near = written.since(now).max(now.since(written));
    assert!(near < 120_000, "{written:?} is not {now:?}");
    for limit in 1..=keys.len() + 1 {
        let (mut walked, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = store.list(after.as_deref(), limit).unwrap();
            assert!(page.len() <= limit);
            let ended = page.len() < limit;
            walked.extend(page.into_iter().map(|object| object.key));
            after = walked.last().cloned();
            if ended {
                break;
            }
        }
        assert_eq!(walked, keys, "by {limit}");
    }
    assert_eq!(store.list(Some("~"), 10).unwrap(), []);
    assert_eq!(store.list(None, 0).unwrap(), []);

    for key in &keys {
        store.delete(key).unwrap();
        assert_eq!(store.get(key, 10).unwrap(), None);
    }
    assert_eq!(store.list(None, 10).unwrap(), []);
    store.probe().unwrap();

    for odd in ["", "a/b", "../../etc/passwd", &format!("{one}/x"), &uuid()] {
        assert!(store.put(odd, b"", soon).is_err(), "{odd}");
        assert!(store.get(odd, 1).is_err() && store.delete(odd).is_err());
    }
}

#[test]
fn a_folder_keeps_results() {
    let dir = Temp::new();
    conforms(&Local::open(&dir.path().join("results")).unwrap());
}

#[test]
fn a_bucket_keeps_results() {
    conforms(&patient(&Bucket::start().section()));
}

fn real(prefix: &str) -> String {
    let prefix = format!("{prefix}-{}", hex(&random::<6>()));
    real_bucket(&prefix).expect("DBWARD_TEST_S3_URL names a bucket")
}

#[test]
#[ignore = "needs DBWARD_TEST_S3_URL"]
fn a_real_bucket_keeps_results() {
    conforms(&patient(&real("conforms")));
    let bare = real("bare").replace("prefix = \"", "expiry_tag = false\nprefix = \"a/b/c-");
    conforms(&patient(&bare));
}

#[test]
#[ignore = "needs DBWARD_TEST_S3_URL"]
fn a_real_bucket_refuses_other_keys() {
    let section = real("refused");
    let line = |name: &str| {
        let found = section.lines().find(|line| line.starts_with(name));
        found.unwrap().to_owned()
    };
    for (name, wrong) in [
        ("secret_access_key", "secret_access_key = \"another\""),
        ("access_key_id", "access_key_id = \"nobody\""),
    ] {
        let store = patient(&section.replace(&line(name), wrong));
        let error = store.put(&key(), b"x", Timestamp(0)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("the answer is 403"), "{error}");
        store.probe().unwrap_err();
    }
    let store = patient(&section.replace(&line("bucket"), "bucket = \"no-such-bucket\""));
    let error = store.list(None, 1).unwrap_err();
    assert!(error.to_string().contains("NoSuchBucket"), "{error}");
}

#[test]
fn keys_tag_and_hash_are_on_the_wire() {
    let bucket = Bucket::start();
    let (store, one) = (patient(&bucket.section()), key());
    store
        .put(&one, b"bytes", Timestamp(1_700_000_000_000))
        .unwrap();
    let asked = bucket.asked();
    let put = &asked[0];
    assert_eq!(
        (put.method.as_str(), &put.path),
        ("PUT", &format!("/shelf/kept/{one}"))
    );
    assert_eq!(
        put.header("x-amz-tagging"),
        Some("dbward-expires=2023-11-14T22%3A13%3A20.000Z")
    );
    assert_eq!(
        put.header("x-amz-content-sha256"),
        Some(&*dbward::crypto::sha256_hex(b"bytes"))
    );
    let signed = put.header("authorization").unwrap();
    assert!(
        signed.contains("x-amz-tagging") && signed.contains("/us-east-1/s3/aws4_request"),
        "{signed}"
    );
    assert_eq!(bucket.keys(), [format!("kept/{one}")]);
    // Pages follow each other, and what is not ours is left out.
    for other in ["kept/readme", "kept/zz/zz", "kept-too/a", "other"] {
        bucket.plant(other, b"x");
    }
    let listed = store.list(None, 1).unwrap();
    assert_eq!(listed[0].key, one);
    assert_eq!(store.list(Some(&one), 1).unwrap(), []);
}

#[test]
fn what_passes_is_tried_again() {
    let bucket = Bucket::start();
    let metrics = Arc::new(Metrics::new());
    let store = over(&bucket.section(), 4, Patience::default(), &metrics);
    let one = key();
    for moods in [
        &[Mood::Says(500, "InternalError")][..],
        &[Mood::Says(503, "SlowDown"), Mood::HangUp],
        &[Mood::Says(400, "RequestTimeout"), Mood::Page(502)],
        &[Mood::Noise, Mood::Half, Mood::Unmeasured],
    ] {
        bucket.next(&moods[..moods.len().min(2)]);
        store.put(&one, b"bytes", Timestamp(0)).unwrap();
        bucket.next(moods);
        let read = store.get(&one, 5).unwrap();
        assert_eq!(read.as_deref(), Some(&b"bytes"[..]), "{moods:?}");
        bucket.next(&[Mood::Says(503, "SlowDown")]);
        store.delete(&key()).unwrap();
    }
    assert!(metrics.result_store_retries.value(&["lost"]) >= 4);
    assert!(metrics.result_store_retries.value(&["503"]) >= 4);
}

#[test]
fn failed_transfer_is_not_now_and_reveals_no_secret() {
    let bucket = Bucket::start();
    let store = patient(&bucket.section());
    let (one, away) = (key(), Bucket::start());
    bucket.plant(&format!("kept/{one}"), b"bytes");
    let there = away.section().lines().nth(3).unwrap().replace('"', "");
    let there = format!("http{}", there.split_once("http").unwrap().1);
    for (mood, calls, reported) in [
        (Mood::Says(500, "InternalError"), 4, "500 InternalError"),
        (Mood::HangUp, 4, ""),
        (Mood::Half, 4, ""),
        (Mood::Unmeasured, 4, "does not say how long it is"),
        (
            Mood::Says(403, "AccessDenied"),
            1,
            "403 AccessDenied; the credentials need",
        ),
        (
            Mood::Says(403, "RequestTimeTooSkewed"),
            1,
            "the clock of this machine",
        ),
        (
            Mood::Says(403, "SignatureDoesNotMatch"),
            1,
            "is `secret_access_key`",
        ),
        (Mood::Says(404, "NoSuchBucket"), 1, "no such `bucket`"),
        // A page of somebody in between is not a missing object.
        (Mood::Page(404), 1, "the answer is 404"),
        (Mood::Redirect(there), 1, "`region` and `endpoint`"),
    ] {
        bucket.mood(mood.clone());
        bucket.asked();
        let error = store.get(&one, 5).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{mood:?}");
        assert_eq!(bucket.asked().len(), calls, "{mood:?}");
        let text = error.to_string();
        assert!(text.contains(reported), "{mood:?}: {text}");
        for secret in ["fake-secret", "fake-id", "what was signed", "Signature="] {
            assert!(!text.contains(secret), "{text}");
            assert!(!error.message().contains(secret));
        }
        assert!(!error.message().contains("http"), "{}", error.message());
        if mood != Mood::Half && mood != Mood::Unmeasured {
            store.delete(&one).unwrap_err();
            store.put(&one, b"bytes", Timestamp(0)).unwrap_err();
            store.list(None, 1).unwrap_err();
        }
    }
    assert!(away.asked().is_empty(), "a redirect was followed");
}

#[test]
fn an_invalid_list_is_not_an_empty_list() {
    let bucket = Bucket::start();
    let store = patient(&bucket.section());
    for mood in [Mood::Bytes(0), Mood::Bytes(100), Mood::Bytes(5_000_000)] {
        bucket.next(&[mood]);
        let error = store.list(None, 1).unwrap_err().to_string();
        assert!(error.contains("its list cannot be read"), "{error}");
    }
}

#[test]
fn a_huge_answer_is_read_no_further_than_asked() {
    let bucket = Bucket::start();
    let store = patient(&bucket.section());
    bucket.next(&[Mood::Bytes(64 * 1024 * 1024)]);
    assert_eq!(
        store.get(&key(), 1_000_000).unwrap().unwrap().len(),
        1_000_001
    );
}

#[test]
fn silent_object_store_is_given_up_and_starves_nobody() {
    let bucket = Bucket::start();
    let store = over(&bucket.section(), 1, SOON, &Arc::new(Metrics::new()));
    bucket.mood(Mood::Slow);
    let began = Instant::now();
    store.get(&key(), 5).unwrap_err();
    let took = began.elapsed();
    assert!(
        took >= SOON.try_base && took < Duration::from_secs(5),
        "{took:?}"
    );
    store.probe().unwrap_err();

    let patience = Patience {
        try_base: Duration::from_secs(30),
        try_max: Duration::from_secs(30),
        ..Patience::default()
    };
    let store = over(&bucket.section(), 1, patience, &Arc::new(Metrics::new()));
    bucket.asked();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| store.get(&key(), 5));
        eventually("the first call is under way", || bucket.calls() == 1);
        let error = store.get(&key(), 5).unwrap_err().to_string();
        assert!(error.contains("too many calls"), "{error}");
        bucket.mood(Mood::Says(404, "NoSuchKey"));
        let _ = first.join().unwrap();
        assert_eq!(store.get(&key(), 5).unwrap(), None);
    });
}

#[test]
fn only_addresses_that_may_be_called_are_called() {
    let bucket = Bucket::start();
    let store = S3::new(
        storage(&bucket.section()),
        Arc::new(Http::keeping(NetworkReach::default(), 1)),
        Clock::system(),
        Arc::new(Metrics::new()),
        1,
        SOON,
    );
    let error = store.get(&key(), 5).unwrap_err().to_string();
    assert!(error.contains("allow_private_networks"), "{error}");
    assert!(bucket.asked().is_empty());
}
