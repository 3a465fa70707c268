//! Group commit, caches under it, and what failures leave behind.

use super::*;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, mpsc};

#[derive(Debug)]
enum TestError {
    Meta(MetaError),
    Mine(u64),
}

impl From<MetaError> for TestError {
    fn from(e: MetaError) -> TestError {
        TestError::Meta(e)
    }
}

type Work<'a, T> = Box<dyn FnOnce(&Meta) -> T + Send + 'a>;

/// Holds the writer until as many jobs wait as there are threads, so that they run as one group.
fn as_one_group<T: Send>(fx: &Fixture, jobs: Vec<Work<'_, T>>) -> Vec<T> {
    let writer = fx.meta.writer.lock();
    let count = jobs.len();
    std::thread::scope(|scope| {
        let handles: Vec<_> = jobs.into_iter().map(|job| scope.spawn(|| job(&fx.meta))).collect();
        while fx.meta.queue.waiting() < count {
            std::thread::yield_now();
        }
        drop(writer);
        handles.into_iter().map(|h| h.join().unwrap()).collect()
    })
}

/// One group of failing, panicking and succeeding jobs: each gets its own answer, and only what
/// succeeded is there, in tables, totals and caches.
#[test]
fn failures_are_rolled_back_alone() {
    let fx = fixture();
    let before = fx.meta.committed.load(Ordering::Relaxed);
    let jobs: Vec<Work<'_, Result<Ino, String>>> = (0..12u64)
        .map(|i| -> Work<'_, _> {
            Box::new(move |meta| {
                let run = || {
                    meta.write(move |tx| {
                        let ino = add_file(tx, Ino::ROOT, format!("f{i}").as_bytes())?;
                        match i % 3 {
                            0 => Ok(ino),
                            1 => Err(TestError::Mine(i)),
                            _ => panic!("job {i}"),
                        }
                    })
                };
                match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
                    Ok(Ok(ino)) => Ok(ino),
                    Ok(Err(TestError::Mine(n))) => Err(format!("mine {n}")),
                    Ok(Err(TestError::Meta(e))) => Err(format!("meta {e}")),
                    Err(panic) => Err(panic.downcast_ref::<String>().unwrap().clone()),
                }
            })
        })
        .collect();
    let results = as_one_group(&fx, jobs);
    for (i, result) in results.iter().enumerate() {
        let name = format!("f{i}");
        let found = fx.lookup(Ino::ROOT, name.as_bytes()).unwrap();
        match i % 3 {
            0 => assert_eq!(result, &Ok(found.unwrap())),
            1 => assert_eq!(result, &Err(format!("mine {i}"))),
            _ => assert_eq!(result, &Err(format!("job {i}"))),
        }
        assert_eq!(found.is_some(), i % 3 == 0);
    }
    assert_eq!(fx.totals().unwrap().entries, 4);
    // One transaction for the lot (and one that reserves inode numbers).
    assert!(fx.meta.committed.load(Ordering::Relaxed) <= before + 2);
    assert_counts(&fx);
}

/// Alone in its transaction, a failing job leaves nothing either, and the next one works.
#[test]
fn a_lone_failure_leaves_nothing() {
    let fx = fixture();
    let used = fx.write(|tx| -> Result<(), TestError> {
        let ino = add_file(tx, Ino::ROOT, b"x")?;
        Err(TestError::Mine(ino.0))
    });
    let Err(TestError::Mine(used)) = used else { panic!("{used:?}") };
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        fx.write::<(), MetaError, _>(|tx| {
            add_file(tx, Ino::ROOT, b"x")?;
            panic!("boom")
        })
    }));
    assert_eq!(panicked.unwrap_err().downcast_ref::<&str>(), Some(&"boom"));
    assert_eq!(fx.lookup(Ino::ROOT, b"x").unwrap(), None);
    assert_eq!(fx.meta.inode(Ino(used)).unwrap(), None);
    // Its number is not used again.
    assert!(fx.file("x").0 > used);
    assert_counts(&fx);
}

/// Eight threads, every third job failing: all answered rightly, numbers never given twice.
#[test]
fn eight_threads() {
    let fx = fixture();
    let all: Vec<Vec<Ino>> = std::thread::scope(|scope| {
        let spawn = |t: u64| {
            let meta = &fx.meta;
            scope.spawn(move || {
                let mut mine = Vec::new();
                for i in 0..200u64 {
                    let name = format!("{t}-{i}").into_bytes();
                    let key = name.clone();
                    let result = meta.write(move |tx| {
                        let ino = add_file(tx, Ino::ROOT, &name)?;
                        if i % 3 == 0 { Err(TestError::Mine(ino.0)) } else { Ok(ino) }
                    });
                    match result {
                        Ok(ino) => {
                            assert_eq!(meta.lookup(Ino::ROOT, &key).unwrap(), Some(ino));
                            assert!(meta.read::<_, MetaError>(|v| v.inode(ino)).unwrap().is_some());
                            mine.push(ino);
                        }
                        Err(TestError::Mine(n)) => mine.push(Ino(n)),
                        Err(TestError::Meta(e)) => panic!("{e}"),
                    }
                }
                mine
            })
        };
        let handles: Vec<_> = (0..8).map(spawn).collect();
        handles.into_iter().map(|h| h.join().unwrap()).collect()
    });
    let unique: BTreeSet<Ino> = all.iter().flatten().copied().collect();
    assert_eq!(unique.len(), 1600);
    assert_counts(&fx);
}

/// A full disk (here: a bound on pages) fails with `Full`, rolls back what it took along, keeps caches
/// and totals true, and the database works on when there is room again.
#[test]
fn a_full_disk() {
    let fx = fixture();
    let kept = fx.file("kept");
    let limit = |pages: i64| {
        let writer = fx.meta.writer.lock();
        writer.conn.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
    };
    limit(1);
    let big = || {
        fx.write::<_, MetaError, _>(move |tx| {
            tx.set_stored_size(kept, 123, Nanos(1))?;
            tx.remove_name(Ino::ROOT, b"kept")?;
            (0..200).try_for_each(|i| tx.set_xattr(kept, format!("user.{i}").as_bytes(), &[1; 4000]))
        })
    };
    assert!(matches!(big(), Err(MetaError::Full)));
    assert_eq!(fx.row(kept).size, 0);
    assert_eq!(fx.lookup(Ino::ROOT, b"kept").unwrap(), Some(kept));
    assert_counts(&fx);
    limit(1_000_000);
    big().unwrap();
    assert_eq!(fx.row(kept).size, 123);
    assert_eq!(fx.lookup(Ino::ROOT, b"kept").unwrap(), None);
    assert_counts(&fx);
}

/// A COMMIT that fails (here: a deferred reference, broken) fails all jobs of its group with its error.
#[test]
fn a_failed_commit_fails_the_group() {
    let fx = fixture();
    let jobs: Vec<Work<'_, Result<(), MetaError>>> = (0..4u64)
        .map(|i| -> Work<'_, _> {
            Box::new(move |meta| {
                meta.write(move |tx| {
                    add_file(tx, Ino::ROOT, format!("f{i}").as_bytes())?;
                    if i == 2 {
                        tx.change("PRAGMA defer_foreign_keys = ON", [])?;
                        tx.change("INSERT INTO orphan VALUES(777)", [])?;
                    }
                    Ok(())
                })
            })
        })
        .collect();
    let results = as_one_group(&fx, jobs);
    assert!(results.iter().all(|r| matches!(r, Err(MetaError::Sqlite(_)))), "{results:?}");
    assert_eq!(fx.lookup(Ino::ROOT, b"f0").unwrap(), None);
    assert_eq!(fx.totals().unwrap().entries, 0);
    fx.file("f0");
    assert_counts(&fx);
}

/// SQLite gives up the whole transaction in the middle of a group: those before fail, those behind run.
#[test]
fn a_transaction_lost_midway() {
    let fx = fixture();
    let order = AtomicU64::new(0);
    let mut jobs: Vec<Work<'_, (u64, Result<(), MetaError>)>> = Vec::new();
    for i in 0..3u64 {
        let order = &order;
        jobs.push(Box::new(move |meta| {
            // One after the other into the queue.
            while order.load(Ordering::Acquire) != i {
                std::thread::yield_now();
            }
            let (queued, len) = (meta.queue.waiting(), i as usize);
            assert_eq!(queued, len);
            std::thread::scope(|scope| {
                let writing = scope.spawn(move || {
                    meta.write::<_, MetaError, _>(move |tx| {
                        add_file(tx, Ino::ROOT, format!("f{i}").as_bytes())?;
                        if i == 1 {
                            tx.change("ROLLBACK", [])?;
                            // Ignoring that is no way to write outside of a transaction.
                            assert!(add_file(tx, Ino::ROOT, b"outside").is_err());
                        }
                        Ok(())
                    })
                });
                while meta.queue.waiting() == len {
                    std::thread::yield_now();
                }
                order.store(i + 1, Ordering::Release);
                (i, writing.join().unwrap())
            })
        }));
    }
    let results = as_one_group(&fx, jobs);
    assert_eq!(results.iter().map(|(_, r)| r.is_ok()).collect::<Vec<_>>(), [false, false, true]);
    let found = |name: &str| fx.lookup(Ino::ROOT, name.as_bytes()).unwrap().is_some();
    assert_eq!([found("f0"), found("f1"), found("f2"), found("outside")], [false, false, true, false]);
    assert_counts(&fx);
}

/// Readers race a writer: what `inode` and `lookup` answer is never older than an answered commit, nor
/// does it ever go back.
#[test]
fn caches_never_go_back() {
    let fx = fixture();
    let (a, b) = (fx.file("a"), fx.file("b"));
    let answered = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let start = Barrier::new(4);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                start.wait();
                let mut last = 0;
                while !stop.load(Ordering::Relaxed) {
                    // Evicted at times, so that the reader's own installs race the commits.
                    fx.meta.caches.inodes.evict(&a);
                    let floor = answered.load(Ordering::Acquire).max(last);
                    let snapshot = fx.read::<_, MetaError>(|v| Ok(v.inode(a)?.unwrap().uid)).unwrap();
                    let now = u64::from(fx.row(a).uid);
                    assert!(now >= floor.max(u64::from(snapshot)), "{now} after {floor} and {snapshot}");
                    last = now;
                    let target = fx.lookup(Ino::ROOT, b"moving").unwrap();
                    assert!([None, Some(a), Some(b)].contains(&target));
                }
            });
        }
        let _stop = super::crash::StopAtEnd(&stop);
        start.wait();
        for i in 2000..3500u32 {
            fx.run(move |tx| {
                let row = tx.inode(a)?.unwrap();
                tx.update_inode(&Inode { uid: i, ..row })?;
                match i % 3 {
                    0 => tx.insert_name(Ino::ROOT, b"moving", a),
                    1 if i > 2001 => tx.repoint_name(Ino::ROOT, b"moving", b),
                    2 if i > 2001 => tx.remove_name(Ino::ROOT, b"moving"),
                    _ => Ok(()),
                }
            });
            answered.store(u64::from(i), Ordering::Release);
            assert_eq!(fx.row(a).uid, i);
            if i > 2001 {
                let expected = [Some(a), Some(b), None][i as usize % 3];
                assert_eq!(fx.lookup(Ino::ROOT, b"moving").unwrap(), expected);
            }
        }
    });
    assert_counts(&fx);
}

/// The caches are bounded.
#[test]
fn caches_are_bounded() {
    let cache: crate::meta::cache::Sharded<Ino, u64> = crate::meta::cache::Sharded::new(4);
    for i in 0..10_000 {
        let missed = cache.get(&Ino(i)).unwrap_err();
        cache.install(missed, Ino(i), i);
    }
    assert!((0..10_000).filter(|i| cache.get(&Ino(*i)).is_ok()).count() <= 4 * 16);
}

/// A snapshot stays what it was while commits go on; the next one sees them.
#[test]
fn snapshots_hold_still() {
    let fx = Arc::new(fixture());
    fx.file("a");
    let (to_writer, go) = mpsc::channel::<()>();
    let (to_reader, done) = mpsc::channel::<()>();
    let other = fx.clone();
    let writer = std::thread::spawn(move || {
        go.recv().unwrap();
        other.file("b");
        to_reader.send(()).unwrap();
    });
    fx.read::<_, MetaError>(|v| {
        assert_eq!(v.lookup(Ino::ROOT, b"b")?, None);
        to_writer.send(()).unwrap();
        done.recv().unwrap();
        assert_eq!(v.lookup(Ino::ROOT, b"b")?, None);
        Ok(())
    })
    .unwrap();
    assert!(fx.read::<_, MetaError>(|v| v.lookup(Ino::ROOT, b"b")).unwrap().is_some());
    writer.join().unwrap();
}

/// What a lone transaction costs: `cargo test --lib meta::tests::groups::lone -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn lone_transactions() {
    let fx = fixture();
    let time = |what: &str, f: &dyn Fn(u64)| {
        let begun = std::time::Instant::now();
        (0..20_000).for_each(f);
        println!("{what}: {:.1} us", begun.elapsed().as_secs_f64() * 1e6 / 20_000.0);
    };
    time("nothing", &|_| fx.run(|_| Ok(())));
    time("create", &|i| {
        fx.file(&format!("IMG_{i}"));
    });
    time("lookup in memory", &|i| {
        let _ = fx.lookup(Ino::ROOT, format!("IMG_{i}").as_bytes());
    });
    time("read one row", &|i| {
        let _ = fx.read::<_, MetaError>(|v| v.inode(Ino(i + 1)));
    });
}
