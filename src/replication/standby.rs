//! The standby: follows the copy of the server that writes, and takes its lease when that is over.

use super::followers::SignsOfLife;
use super::lease_document::{LeaseDocument, StandingLease};
use super::litestream::{END_WITHIN, Litestream, RunningChild};
use super::local_state::LocalState;
use super::refusals::{refuse_foreign, strays};
use super::{Reign, ReignSetup, SYNC_AGAIN, TakenLease, stray_copy, take};
use crate::domain::server_lease::{LeaseWatch, LogHead, ServerLease};
use crate::error::Error;
use crate::store::{log_head_of, log_holds};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// The followed copy, in the state directory, and where Litestream notes how far it is.
const FILE: &str = "standby.db";
const FILE_PROGRESS: &str = "standby.db-txid";
/// How often the followed copy is brought up to date, and the least time between two looks at the lease.
const FOLLOW_EVERY: Duration = Duration::from_millis(500);
const LOOK_MIN: Duration = Duration::from_millis(200);
/// Looks at the lease within its time.
const LOOKS: u32 = 10;
/// How long the followed copy may take to be complete, after the lease was taken; then it is fetched anew.
const CATCH_UP: Duration = Duration::from_secs(3);
/// How long a server that has taken the lease tries to fetch the state, before it leaves the lease to another.
const TAKE_OVER_PATIENCE: Duration = Duration::from_secs(15);
/// What the name of a state that was set aside goes on with, before the number of its epoch; and how many are kept.
const REPLACED: &str = ".replaced-";
const REPLACED_MAX: usize = 5;
/// Of the files of a database.
const SUFFIXES: [&str; 3] = ["", "-wal", "-shm"];
const CATCH_UP_LOOK: Duration = Duration::from_millis(20);
/// Longest time of a list of the copy's files.
pub(super) const LIST_TIMEOUT: Duration = Duration::from_secs(10);

/// A copy that is followed.
struct Followed {
    epoch: u64,
    child: RunningChild,
}

/// Logs where the bucket is reached again, or not any more.
fn log_reach<T>(reached: &mut bool, read: &Result<T, Error>) {
    if std::mem::replace(reached, read.is_ok()) == read.is_ok() {
        return;
    }
    match read {
        Ok(_) => log::info!("the bucket is reached again"),
        Err(error) => log::warn!("the lease cannot be read: {error}"),
    }
}

impl ReignSetup<'_> {
    /// Follows until the lease is ours, and puts the state in its place. `try_results` tries the place of results, once
    /// the bucket has been reached. `pause` waits, and returns true when everything shall end; then there is no reign.
    ///
    /// # Errors
    /// A sentence for the operator: other keys, a copy that cannot be fetched, or what `try_results` found.
    pub fn follow(
        &self,
        try_results: impl Fn() -> Result<(), Error>,
        pause: impl Fn(Duration) -> bool,
    ) -> Result<Option<Reign>, Error> {
        let (document, litestream) = (self.document(), self.litestream());
        let mut local = LocalState::read(&self.config.state_dir)?;
        let (mut watch, mut followed): (Option<LeaseWatch>, Option<Followed>) = (None, None);
        let (mut reached, mut signs) = (true, SignsOfLife::default());
        let (mut strays_logged, mut tried) = (false, false);
        loop {
            let sent = document.now();
            let read = document.read();
            if read.is_ok() && !std::mem::replace(&mut tried, true) {
                // What would make a take-over fail is better known now.
                try_results()?;
            }
            log_reach(&mut reached, &read);
            if read.is_err() {
                // The holder of the lease may not have reached the bucket either: it gets its whole time again.
                watch = None;
            }
            let mut look = Duration::from_secs(self.replication.lease_secs) / LOOKS;
            if let Ok(None) = read
                && !strays_logged
                && let Ok(Some(epoch)) = stray_copy(&document, 0)
            {
                strays_logged = true;
                log::warn!("{}", strays(epoch, None));
            }
            if let Ok(Some(standing)) = read {
                refuse_foreign(&standing.lease, self.keys)?;
                look = standing.lease.duration() / LOOKS;
                let now = document.clock.instant();
                let watch =
                    watch.get_or_insert_with(|| LeaseWatch::new(standing.version.clone(), now));
                watch.note(&standing.version, now);
                followed = self.followed(&litestream, followed, standing.lease.copy_epoch)?;
                signs.leave(&document.s3, &local.holder);
                let over = standing.lease.copy_epoch > 0 && watch.is_over(&standing.lease, now);
                let own = local.wrote_last(&standing.lease)
                    && self.wrote_all(&standing.lease, &local, over, &mut followed, &pause);
                if (own || over)
                    && let Some(taken) = self.take_checked(&document, &standing, &local)?
                {
                    signs.end(&document.s3);
                    let taken = TakenLease {
                        document,
                        standing: taken,
                        sent,
                        inherited: Some(standing.lease),
                        stray_copy: None,
                    };
                    if own {
                        log::info!("nobody else has written since: the state here goes on");
                        return self.go_on(taken, &mut local).map(Some);
                    }
                    return self.take_over(taken, &litestream, followed, &mut local, pause);
                }
            }
            if pause(look.max(LOOK_MIN)) {
                return Ok(None);
            }
        }
    }

    /// Takes the lease that stands, where it tells of every copy.
    fn take_checked(
        &self,
        document: &LeaseDocument,
        standing: &StandingLease,
        local: &LocalState,
    ) -> Result<Option<StandingLease>, Error> {
        let is_known = self.stray_copy(document, Some(standing))?.is_some();
        let (holder, above) = (&local.holder, local.epoch);
        Ok(is_known
            .then(|| take(document, standing, holder, above, self.replication))
            .flatten())
    }

    /// Follows that epoch's copy, if not already.
    fn followed(
        &self,
        litestream: &Litestream,
        followed: Option<Followed>,
        epoch: u64,
    ) -> Result<Option<Followed>, Error> {
        if let Some(mut now) = followed {
            match now.child.ended() {
                None if now.epoch == epoch => return Ok(Some(now)),
                None => {}
                Some(how) => log::warn!("following the copy ended ({how}); it begins again"),
            }
        }
        if epoch == 0 {
            return Ok(None);
        }
        log::info!("following the copy of epoch {epoch}");
        self.remove_file()?;
        let child = litestream.follow(&self.file(), epoch, FOLLOW_EVERY)?;
        Ok(Some(Followed { epoch, child }))
    }

    /// Keeps a lease that was taken, and puts the state into its place; tries for a while where the bucket or Litestream
    /// fail. No reign where everything shall end meanwhile.
    fn take_over(
        &self,
        taken: TakenLease,
        litestream: &Litestream,
        mut followed: Option<Followed>,
        local: &mut LocalState,
        pause: impl Fn(Duration) -> bool,
    ) -> Result<Option<Reign>, Error> {
        let began = Instant::now();
        let (epoch, from) = (taken.standing.lease.epoch, taken.standing.lease.copy_epoch);
        // The lease is kept from here on, however long the rest takes.
        let mut reign = self.keep(taken)?;
        loop {
            let ending = match self.bring(&reign, litestream, &mut followed, from, &pause) {
                Ok(true) => break,
                Ok(false) => true,
                Err(error) if reign.keeper.is_lost() || began.elapsed() >= TAKE_OVER_PATIENCE => {
                    return Err(error);
                }
                Err(error) => {
                    log::warn!("{error}; it is tried again");
                    pause(SYNC_AGAIN)
                }
            };
            if ending {
                return Ok(None);
            }
        }
        self.put_in_place(local.epoch)?;
        local.enter(epoch, from)?;
        reign.fetched = true;
        log::info!(
            "the state of epoch {from} is here after {} ms",
            began.elapsed().as_millis()
        );
        Ok(Some(reign))
    }

    /// The log's last event in the whole copy of that epoch: the lease names only what it had at a renewal. None where
    /// everything shall end before it is fetched.
    ///
    /// # Errors
    /// `internal` or `unavailable` where it cannot be fetched.
    pub(super) fn head_of_copy(
        &self,
        epoch: u64,
        pause: impl Fn(Duration) -> bool,
    ) -> Result<Option<LogHead>, Error> {
        self.remove_file()?;
        if !self.litestream().fetch(&self.file(), epoch, pause)? {
            return Ok(None);
        }
        let head = log_head_of(&self.file())?;
        self.remove_file()?;
        Ok(Some(head))
    }

    /// Whether the state here has all that was written in the epoch that it was last in. A start that was refused took the
    /// lease as well, so its log is looked at; and where the state may be a copy or an old disk, so is that of the copy in
    /// the bucket, once the lease is over.
    fn wrote_all(
        &self,
        lease: &ServerLease,
        local: &LocalState,
        over: bool,
        followed: &mut Option<Followed>,
        pause: impl Fn(Duration) -> bool,
    ) -> bool {
        let holds = |head: &LogHead| log_holds(&self.database(), head).unwrap_or(false);
        // The last event that was written is known, or nobody else has written into this file.
        let is_enough = lease.head_is_last || local.is_in_place();
        if !holds(&lease.head) || is_enough || !over {
            return is_enough && holds(&lease.head);
        }
        if let Some(followed) = followed.take() {
            followed.child.stop(END_WITHIN);
        }
        let copied = self.head_of_copy(lease.copy_epoch, pause);
        copied.is_ok_and(|head| head.is_some_and(|head| holds(&head)))
    }

    /// Completes the followed copy of that epoch, or fetches the whole; false when everything shall end before.
    fn bring(
        &self,
        reign: &Reign,
        litestream: &Litestream,
        followed: &mut Option<Followed>,
        epoch: u64,
        pause: impl Fn(Duration) -> bool,
    ) -> Result<bool, Error> {
        let folder = Litestream::epoch_folder(epoch);
        let names = reign.keeper.bucket().names(&folder, LIST_TIMEOUT)?;
        let end = newest(&names)
            .ok_or_else(|| Error::bug(format!("the copy of epoch {epoch} is empty")))?;
        let follows = followed.as_ref().is_some_and(|f| f.epoch == epoch);
        let caught_up = follows && catches_up(&self.config.state_dir, end);
        if let Some(followed) = followed.take() {
            followed.child.stop(END_WITHIN);
        }
        if caught_up {
            return Ok(true);
        }
        log::info!("the followed copy is not complete; fetching the whole");
        self.remove_file()?;
        litestream.fetch(&self.file(), epoch, pause)
    }

    fn file(&self) -> PathBuf {
        self.config.state_dir.join(FILE)
    }

    fn remove_file(&self) -> Result<(), Error> {
        for suffix in SUFFIXES.into_iter().chain(["-txid"]) {
            remove(&with(&self.file(), suffix))?;
        }
        Ok(())
    }

    /// Puts the copy where the server has its state; one that was there, of that epoch, is kept aside.
    fn put_in_place(&self, epoch: u64) -> Result<(), Error> {
        let place = self.database();
        set_aside(&place, epoch)?;
        forget_replaced(&self.config.state_dir)?;
        fs::rename(self.file(), &place)
            .map_err(|e| Error::internal(format!("{}", place.display()), e))?;
        self.remove_file()
    }
}

/// Sets a state of that epoch aside, if one is there. What is set aside is never written over, and after a crash in between
/// the rest joins it: the copy must not find the log of another.
fn set_aside(place: &Path, epoch: u64) -> Result<(), Error> {
    let here = |suffix: &&str| with(place, suffix).exists();
    let left: Vec<&str> = SUFFIXES.into_iter().filter(here).collect();
    if left.is_empty() {
        return Ok(());
    }
    let aside = free_name(&with(place, &format!("{REPLACED}{epoch:08}")), &left);
    for suffix in left {
        let from = with(place, suffix);
        fs::rename(&from, with(&aside, suffix))
            .map_err(|e| Error::internal(format!("{}", from.display()), e))?;
    }
    log::info!("the state that was here is kept as {}", aside.display());
    Ok(())
}

/// Removes the oldest of the states that were set aside, where there are too many.
fn forget_replaced(folder: &Path) -> Result<(), Error> {
    let begins = format!("dbward.db{REPLACED}");
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(&begins))
        .filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm"))
        .collect();
    names.sort();
    let surplus = names.len().saturating_sub(REPLACED_MAX);
    for name in &names[..surplus] {
        let path = folder.join(name);
        log::warn!(
            "{} is removed: {REPLACED_MAX} newer ones are kept",
            path.display()
        );
        for suffix in SUFFIXES {
            remove(&with(&path, suffix))?;
        }
    }
    Ok(())
}

/// The first of that name and its numbered ones that nothing with these suffixes has yet.
fn free_name(name: &Path, suffixes: &[&str]) -> PathBuf {
    let numbered = (2..).map(|number| with(name, &format!("-{number}")));
    std::iter::once(name.to_owned())
        .chain(numbered)
        .find(|name| !suffixes.iter().any(|suffix| with(name, suffix).exists()))
        .unwrap_or_else(|| name.to_owned())
}

/// Waits until the followed copy in that folder has everything up to that transaction; whether it has.
pub(super) fn catches_up(state_dir: &Path, end: u64) -> bool {
    let until = Instant::now() + CATCH_UP;
    let progress = state_dir.join(FILE_PROGRESS);
    loop {
        let text = fs::read_to_string(&progress).unwrap_or_default();
        if u64::from_str_radix(text.trim(), 16).is_ok_and(|there| there >= end) {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        thread::sleep(CATCH_UP_LOOK);
    }
}

/// The last transaction that the files of a copy hold; they are named `<level>/<first>-<last>.ltx`.
pub(super) fn newest(names: &[String]) -> Option<u64> {
    names
        .iter()
        .filter_map(|name| {
            let last = name.strip_suffix(".ltx")?.rsplit('-').next()?;
            u64::from_str_radix(last, 16).ok()
        })
        .max()
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut text = path.as_os_str().to_owned();
    text.push(suffix);
    PathBuf::from(text)
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(Error::internal(format!("{}", path.display()), e))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{REPLACED_MAX, forget_replaced, newest, set_aside};
    use crate::crypto::{hex, random};
    use std::fs;

    #[test]
    fn states_that_were_set_aside_are_kept_with_their_logs() {
        let folder = std::env::temp_dir().join(format!("dbward-{}", hex(&random::<8>())));
        fs::create_dir(&folder).unwrap();
        let place = folder.join("dbward.db");
        let put = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
        put("dbward.db", "one");
        put("dbward.db-wal", "log of one");
        set_aside(&place, 1).unwrap();
        put("dbward.db", "two");
        set_aside(&place, 2).unwrap();
        // A crash came after the database was moved: its log joins it, and a copy that lies there since does not.
        put("dbward.db-wal", "log of two");
        set_aside(&place, 2).unwrap();
        put("dbward.db", "a copy");
        set_aside(&place, 2).unwrap();
        for (name, text) in [
            ("dbward.db.replaced-00000001", "one"),
            ("dbward.db.replaced-00000001-wal", "log of one"),
            ("dbward.db.replaced-00000002", "two"),
            ("dbward.db.replaced-00000002-wal", "log of two"),
            ("dbward.db.replaced-00000002-2", "a copy"),
        ] {
            assert_eq!(read(name), text, "{name}");
        }
        for epoch in 3..=1 + REPLACED_MAX as u64 {
            put("dbward.db", "more");
            set_aside(&place, epoch).unwrap();
        }
        forget_replaced(&folder).unwrap();
        assert!(!folder.join("dbward.db.replaced-00000001").exists());
        assert!(!folder.join("dbward.db.replaced-00000001-wal").exists());
        assert_eq!(read("dbward.db.replaced-00000002-2"), "a copy");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn newest_transaction_is_found_over_all_levels() {
        let names = [
            "epoch-00000001/0000/0000000000000009-000000000000000a.ltx",
            "epoch-00000001/0001/0000000000000001-0000000000000008.ltx",
            "epoch-00000001/other",
        ];
        assert_eq!(newest(&names.map(str::to_owned)), Some(10));
        assert_eq!(newest(&[]), None);
    }
}
