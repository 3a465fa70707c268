//! Random steps on both sides, compared after each.

use crate::reference::{Id, Node, ROOT, Reference, Refused};
use crate::world::{World, answer};
use pail::fs::{Allocate, Attr, Caller, FsError, Handle, RenameFlags, SeekTo, SetAttr, SetTime};
use pail::store::fault::{Fault, Op};
use pail::types::{Ino, Nanos};
use std::collections::{BTreeMap, BTreeSet};

const WHO: Caller = Caller { uid: 1000, gid: 1000, pid: 1 };
const NAMES: [&[u8]; 7] = [b"a", b"b", b"c", b"photo.jpg", b"\xff\xfe not utf-8", b"dump.sql", b"x"];
const FILE_MAX: u64 = 160 << 10;

/// splitmix64: small, seeded, the same everywhere.
pub struct Dice(u64);

impl Dice {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize].clone()
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        // Text, noise, or a repetition of what other files hold too.
        match self.below(3) {
            0 => (0..len).map(|_| b'a' + self.below(4) as u8).collect(),
            1 => (0..len).map(|_| self.below(256) as u8).collect(),
            _ => {
                let phase = self.below(8) as usize * 512;
                (0..len).map(|i| ((i + phase) / 512 % 251) as u8).collect()
            }
        }
    }
}

pub struct Run {
    seed: u64,
    step: u64,
    dice: Dice,
    world: World,
    model: Reference,
    /// Model id -> inode, and how often the file system counted a reference to it.
    inos: BTreeMap<Id, Ino>,
    known: BTreeMap<Ino, u64>,
    open: Vec<(Id, Handle)>,
    log: Vec<String>,
}

fn refusal(e: &FsError) -> Refused {
    match e {
        FsError::NotFound => Refused::NotFound,
        FsError::Exists => Refused::Exists,
        FsError::NotDir => Refused::NotDir,
        FsError::IsDir => Refused::IsDir,
        FsError::NotEmpty => Refused::NotEmpty,
        FsError::Invalid => Refused::Invalid,
        FsError::NotPermitted => Refused::NotPermitted,
        FsError::NoData => Refused::NoData,
        other => panic!("an error that the model does not know: {other}"),
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {} failed at step {}; the last steps:", self.seed, self.step);
            self.log.iter().rev().take(25).rev().for_each(|line| eprintln!("  {line}"));
            eprintln!(
                "replay: PAIL_MODEL_SEED={} PAIL_MODEL_OPS={} cargo test --test model replay",
                self.seed,
                self.step + 1
            );
        }
    }
}

impl Run {
    pub fn new(seed: u64) -> Run {
        let inos = BTreeMap::from([(ROOT, Ino::ROOT)]);
        let (dice, world) = (Dice(seed), World::new(seed));
        let model = Reference::new();
        Run {
            seed,
            step: 0,
            dice,
            world,
            model,
            inos,
            known: BTreeMap::new(),
            open: Vec::new(),
            log: Vec::new(),
        }
    }

    pub fn steps(mut self, ops: u64) {
        for step in 0..ops {
            self.step = step;
            self.one();
            if step % 500 == 499 {
                self.compare_all();
            }
        }
        self.compare_all();
        self.remove_everything();
    }

    fn note(&mut self, what: String) {
        self.log.push(format!("{}: {what}", self.step));
        if self.log.len() > 1000 {
            self.log.drain(..500);
        }
    }

    fn same<T, U>(&self, got: &Result<T, FsError>, want: &Result<U, Refused>) {
        let got = got.as_ref().map(|_| ()).map_err(refusal);
        let want = want.as_ref().map(|_| ()).map_err(|e| *e);
        assert_eq!(got, want, "the file system's answer differs from the model's");
    }

    fn learn(&mut self, id: Id, attr: &Attr) {
        self.inos.insert(id, attr.ino);
        *self.known.entry(attr.ino).or_default() += 1;
    }

    fn a_dir(&mut self) -> (Id, Ino) {
        let dirs = self.model.dirs();
        let id = self.dice.pick(&dirs);
        (id, self.inos[&id])
    }

    fn a_name(&mut self) -> &'static [u8] {
        self.dice.pick(&NAMES)
    }

    /// A file with a name or an open handle.
    fn a_file(&mut self) -> Option<(Id, Ino)> {
        let open: BTreeSet<Id> = self.open.iter().map(|(id, _)| *id).collect();
        let files: Vec<Id> = self
            .model
            .inodes
            .iter()
            .filter(|(id, i)| matches!(i.node, Node::File(_)) && (i.links > 0 || open.contains(id)))
            .map(|(id, _)| *id)
            .collect();
        (!files.is_empty()).then(|| {
            let id = self.dice.pick(&files);
            (id, self.inos[&id])
        })
    }

    fn one(&mut self) {
        match self.dice.below(100) {
            0..=11 => self.make(),
            12..=16 => self.unlink(),
            17..=18 => self.rmdir(),
            19..=25 => self.rename(),
            26..=28 => self.link(),
            29..=48 => self.write(),
            49..=54 => self.truncate(),
            55..=58 => self.punch(),
            59..=74 => self.read(),
            75..=78 => self.copy(),
            79..=81 => self.seek(),
            82..=84 => self.xattr(),
            85..=86 => self.chmod(),
            87..=88 => self.open_or_close(),
            89..=90 => self.list(),
            91..=92 => self.flush(),
            93..=94 => self.world.up().cache.drop_clean().expect("drop_clean"),
            95 => self.sync(),
            96..=97 => self.faults(),
            98 => self.restart(),
            _ => self.utimens(),
        }
    }

    fn make(&mut self) {
        let ((dir, dir_ino), name) = (self.a_dir(), self.a_name());
        let fs = self.world.up().fs.clone();
        let kind = self.dice.below(10);
        self.note(format!("make kind {kind} {name:?} in {dir}"));
        let (got, want) = match kind {
            0..=1 => (
                fs.mkdir(WHO, dir_ino, name, 0o777, 0o022),
                self.model.make(dir, name, Node::Dir(BTreeMap::new()), 0o755),
            ),
            2 => (
                fs.symlink(WHO, dir_ino, name, b"over/there"),
                self.model.make(dir, name, Node::Symlink(b"over/there".to_vec()), 0o777),
            ),
            _ => (
                fs.mknod(WHO, dir_ino, name, 0o100666, 0o027, 0),
                self.model.make(dir, name, Node::File(Vec::new()), 0o640),
            ),
        };
        self.same(&got, &want);
        if let (Ok(attr), Ok(id)) = (got, want) {
            self.learn(id, &attr);
        }
    }

    /// The kernel forgets what has neither name nor handle.
    fn forget_nameless(&mut self, id: Id) {
        let held = self.open.iter().any(|(open, _)| *open == id);
        if self.model.inodes[&id].links == 0 && !held {
            let ino = self.inos.remove(&id).expect("known");
            self.model.inodes.remove(&id);
            if let Some(count) = self.known.remove(&ino) {
                self.world.up().fs.forget(ino, count);
            }
        }
    }

    fn unlink(&mut self) {
        let ((dir, dir_ino), name) = (self.a_dir(), self.a_name());
        self.note(format!("unlink {name:?} in {dir}"));
        let id = self.model.lookup(dir, name);
        let (got, want) = (self.world.up().fs.unlink(dir_ino, name), self.model.unlink(dir, name));
        self.same(&got, &want);
        if let (Some(id), Ok(())) = (id, got) {
            self.forget_nameless(id);
        }
    }

    fn rmdir(&mut self) {
        let ((dir, dir_ino), name) = (self.a_dir(), self.a_name());
        self.note(format!("rmdir {name:?} in {dir}"));
        let id = self.model.lookup(dir, name);
        let (got, want) = (self.world.up().fs.rmdir(dir_ino, name), self.model.rmdir(dir, name));
        self.same(&got, &want);
        if let (Some(id), Ok(())) = (id, got) {
            self.forget_nameless(id);
        }
    }

    fn rename(&mut self) {
        let ((from, from_ino), name) = (self.a_dir(), self.a_name());
        let ((to, to_ino), to_name) = (self.a_dir(), self.a_name());
        let flags = match self.dice.below(6) {
            0 => RenameFlags { exchange: true, ..Default::default() },
            1 => RenameFlags { no_replace: true, ..Default::default() },
            _ => RenameFlags::default(),
        };
        self.note(format!("rename {name:?} in {from} to {to_name:?} in {to}, {flags:?}"));
        let target = self.model.lookup(to, to_name);
        let got = self.world.up().fs.rename(WHO, from_ino, name, to_ino, to_name, flags);
        let want = self.model.rename((from, name), (to, to_name), flags.exchange, flags.no_replace);
        self.same(&got, &want);
        if let (Some(id), Ok(()), false) = (target, got, flags.exchange) {
            self.forget_nameless(id);
        }
    }

    fn link(&mut self) {
        let Some((id, ino)) = self.a_file() else { return };
        let ((dir, dir_ino), name) = (self.a_dir(), self.a_name());
        self.note(format!("link {id} as {name:?} in {dir}"));
        let got = self.world.up().fs.link(ino, dir_ino, name);
        let want = self.model.link(id, dir, name);
        self.same(&got, &want);
        if got.is_ok() {
            *self.known.entry(ino).or_default() += 1;
        }
    }

    fn write(&mut self) {
        let Some((id, ino)) = self.a_file() else { return };
        let len = 1 + self.dice.below(if self.dice.0 & 1 == 0 { 200 } else { 40 << 10 }) as usize;
        let size = self.model.content(id).len() as u64;
        let offset = match self.dice.below(3) {
            0 => size,
            1 => self.dice.below(size + 1),
            _ => self.dice.below(FILE_MAX),
        };
        if offset + len as u64 > FILE_MAX {
            return;
        }
        let data = self.dice.bytes(len);
        self.note(format!("write {id} (ino {ino}) {offset}+{len}"));
        let fs = self.world.up().fs.clone();
        let got = answer(|done| fs.write(ino, Handle(0), offset, &data, done));
        assert_eq!(got.expect("write"), len as u32);
        self.model.write(id, offset as usize, &data);
    }

    fn truncate(&mut self) {
        let Some((id, ino)) = self.a_file() else { return };
        let size = match self.dice.below(4) {
            0 => 0,
            _ => self.dice.below(FILE_MAX),
        };
        self.note(format!("truncate {id} to {size}"));
        let change = SetAttr { size: Some(size), ..SetAttr::default() };
        let attr = self.world.up().fs.setattr(WHO, ino, change).expect("truncate");
        self.model.content(id).resize(size as usize, 0);
        assert_eq!(attr.size, size);
    }

    fn punch(&mut self) {
        let Some((id, ino)) = self.a_file() else { return };
        let (start, len) = (self.dice.below(FILE_MAX), 1 + self.dice.below(30 << 10));
        let end = (start + len).min(FILE_MAX);
        let fs = self.world.up().fs.clone();
        let how = match self.dice.below(4) {
            0 => Allocate::Zero { keep_size: false },
            1 => Allocate::Extend,
            2 => Allocate::Zero { keep_size: true },
            _ => Allocate::Punch,
        };
        self.note(format!("fallocate {how:?} {id} {start}..{end}"));
        if start >= end {
            return;
        }
        fs.fallocate(ino, how, start, end - start).expect("fallocate");
        if how != Allocate::Extend {
            self.model.zero(id, start as usize, end as usize);
        }
        if matches!(how, Allocate::Extend | Allocate::Zero { keep_size: false }) {
            let bytes = self.model.content(id);
            bytes.resize(bytes.len().max(end as usize), 0);
        }
    }

    fn check_read(&mut self, id: Id, ino: Ino, offset: u64, len: u32) {
        let fs = self.world.up().fs.clone();
        let got = answer(|done| fs.read(ino, Handle(0), offset, len, done)).expect("read");
        let bytes = self.model.content(id);
        let start = (offset as usize).min(bytes.len());
        let end = (start + len as usize).min(bytes.len());
        assert_eq!(got.len(), end - start, "length of what was read at {offset}+{len} of {id}");
        if let Some(at) = got.iter().zip(&bytes[start..end]).position(|(a, b)| a != b) {
            panic!("file {id} (ino {ino}) differs at {}: {} for {}", start + at, got[at], bytes[start + at]);
        }
    }

    fn read(&mut self) {
        let Some((id, ino)) = self.a_file() else { return };
        let (offset, len) = (self.dice.below(FILE_MAX), 1 + self.dice.below(64 << 10) as u32);
        self.note(format!("read {id} {offset}+{len}"));
        self.check_read(id, ino, offset, len);
    }

    fn copy(&mut self) {
        let (Some((from, from_ino)), Some((to, to_ino))) = (self.a_file(), self.a_file()) else { return };
        let (offset, at, len) =
            (self.dice.below(FILE_MAX), self.dice.below(FILE_MAX / 2), 1 + self.dice.below(FILE_MAX / 2));
        if from == to && offset < at + len && at < offset + len {
            return;
        }
        self.note(format!("copy {from} (ino {from_ino}) {offset}+{len} to {to} (ino {to_ino}) {at}"));
        match self.world.up().fs.copy_range(from_ino, offset, to_ino, at, len) {
            Err(FsError::NotSupported) => {}
            Err(e) => panic!("copy: {e}"),
            Ok(0) => {}
            Ok(copied) => {
                let bytes = self.model.content(from);
                let start = (offset as usize).min(bytes.len());
                let part = bytes[start..(start + copied as usize)].to_vec();
                assert!(copied <= len);
                self.model.write(to, at as usize, &part);
            }
        }
    }

    /// Whatever is called a hole must be zeros; the end of the file is a hole.
    fn seek(&mut self) {
        let Some((id, ino)) = self.a_file() else { return };
        let from = self.dice.below(FILE_MAX);
        self.note(format!("seek {id} from {from}"));
        let fs = self.world.up().fs.clone();
        let bytes = self.model.content(id);
        let size = bytes.len() as u64;
        match fs.seek(ino, from, SeekTo::Data) {
            Ok(data) => assert!(
                from <= data && data < size && bytes[from as usize..data as usize].iter().all(|b| *b == 0),
                "SEEK_DATA from {from} gave {data} of {size}"
            ),
            Err(FsError::NoSuchAddress) => {
                assert!(
                    from >= size || bytes[from as usize..].iter().all(|b| *b == 0),
                    "data is called a hole"
                );
            }
            Err(e) => panic!("seek: {e}"),
        }
        match fs.seek(ino, from, SeekTo::Hole) {
            Ok(hole) => assert!(from <= hole && hole <= size),
            Err(FsError::NoSuchAddress) => assert!(from >= size),
            Err(e) => panic!("seek: {e}"),
        }
    }

    fn xattr(&mut self) {
        let Some((id, ino)) = self.a_file() else { return };
        let name = self.dice.pick(&[&b"user.a"[..], b"user.b", b"trusted.c"]);
        let fs = self.world.up().fs.clone();
        self.note(format!("xattr {name:?} of {id}"));
        let xattrs = &mut self.model.inodes.get_mut(&id).expect("there").xattrs;
        if self.dice.below(3) == 0 {
            let want = xattrs.remove(name).map(|_| ()).ok_or(Refused::NoData);
            let got = fs.remove_xattr(WHO, ino, name);
            self.same(&got, &want);
        } else {
            let value = self.dice.bytes(20);
            fs.set_xattr(WHO, ino, name, &value, false, false).expect("setxattr");
            xattrs.insert(name.to_vec(), value);
        }
    }

    fn chmod(&mut self) {
        let Some((id, ino)) = self.a_file() else { return };
        let mode = self.dice.below(0o10000) as u32;
        self.note(format!("chmod {mode:o} of {id}"));
        self.world
            .up()
            .fs
            .setattr(WHO, ino, SetAttr { mode: Some(mode), ..SetAttr::default() })
            .expect("chmod");
        self.model.inodes.get_mut(&id).expect("there").mode = mode;
    }

    fn utimens(&mut self) {
        let Some((id, ino)) = self.a_file() else { return };
        let at = Nanos(self.dice.below(1 << 60) as i64 - (1 << 59));
        self.note(format!("mtime {at:?} of {id}"));
        let change = SetAttr { mtime: Some(SetTime::At(at)), ..SetAttr::default() };
        let attr = self.world.up().fs.setattr(WHO, ino, change).expect("utimens");
        assert_eq!(attr.mtime, at);
        assert_eq!(self.world.up().fs.getattr(ino).expect("getattr").mtime, at);
    }

    fn open_or_close(&mut self) {
        if self.open.len() < 4 && self.dice.below(2) == 0 {
            let Some((id, ino)) = self.a_file() else { return };
            self.note(format!("open {id}"));
            self.open.push((id, self.world.up().fs.open(ino, 2).expect("open")));
        } else if !self.open.is_empty() {
            let at = self.dice.below(self.open.len() as u64) as usize;
            let (id, handle) = self.open.remove(at);
            self.note(format!("close {id}"));
            self.world.up().fs.release(self.inos[&id], handle);
            self.forget_nameless(id);
        }
    }

    fn list(&mut self) {
        let (dir, ino) = self.a_dir();
        self.note(format!("list {dir}"));
        self.check_listing(dir, ino);
    }

    fn check_listing(&mut self, dir: Id, ino: Ino) {
        let fs = self.world.up().fs.clone();
        let (mut names, mut after) = (BTreeSet::new(), 0);
        loop {
            let page = fs.read_dir(ino, after, 3).expect("read_dir");
            let Some(last) = page.last() else { break };
            after = last.cookie;
            for listed in page.iter().filter(|l| l.counts) {
                assert!(names.insert(listed.name.clone()), "{:?} is listed twice", listed.name);
                let id = self.model.lookup(dir, &listed.name).expect("a name that the model has");
                assert_eq!(self.inos[&id], listed.attr.ino);
            }
        }
        assert!(names.iter().eq(self.model.entries(dir).keys()), "the names differ");
    }

    fn flush(&mut self) {
        let which = match self.dice.below(2) {
            0 => None,
            _ => self.a_file().map(|(_, ino)| ino),
        };
        self.note(format!("flush {which:?}"));
        self.world.store.clear();
        let flow = self.world.up().flow.clone();
        answer(|done| flow.flush(which, done)).expect("flush");
    }

    fn sync(&mut self) {
        let fs = self.world.up().fs.clone();
        self.note("sync".into());
        answer(|done| fs.sync_all(done)).expect("sync");
    }

    fn faults(&mut self) {
        self.note("faults".into());
        let fault = self.dice.pick(&[Fault::BeforeApply, Fault::AfterApply]);
        let op = self.dice.pick(&[Op::Put, Op::Get, Op::Delete]);
        let times = 1 + self.dice.below(2) as usize;
        self.world.store.fail_next(op, times, fault);
    }

    fn restart(&mut self) {
        let (drain, close) = (self.dice.below(2) == 0, self.dice.below(2) == 0);
        self.note(format!("restart, drain {drain}, close {close}"));
        self.world.store.clear();
        // What has no name is gone with the daemon.
        self.open.clear();
        let gone: Vec<Id> =
            self.model.inodes.iter().filter(|(_, i)| i.links == 0).map(|(id, _)| *id).collect();
        for id in gone {
            self.model.inodes.remove(&id);
            self.inos.remove(&id);
        }
        self.known.clear();
        self.world.restart(drain, close);
        self.world.up().fs.known(Ino::ROOT);
        for ino in self.inos.values() {
            self.world.up().fs.known(*ino);
            *self.known.entry(*ino).or_default() += 1;
        }
    }

    fn compare_all(&mut self) {
        self.note("compare all".into());
        self.world.store.clear();
        let ids: Vec<Id> = self.inos.keys().copied().collect();
        for id in ids {
            let (ino, inode) = (self.inos[&id], self.model.inodes[&id].clone());
            let fs = self.world.up().fs.clone();
            let attr = fs.getattr(ino).expect("getattr");
            assert_eq!(attr.nlink, inode.links, "links of {id} (ino {ino})");
            assert_eq!(attr.mode & 0o7777, inode.mode, "mode of {id} (ino {ino})");
            let names: BTreeSet<Vec<u8>> = fs.list_xattrs(ino).expect("list_xattrs").into_iter().collect();
            assert!(names.iter().eq(inode.xattrs.keys()), "attributes of {id}");
            for (name, value) in &inode.xattrs {
                assert_eq!(&fs.get_xattr(ino, name).expect("get_xattr"), value);
            }
            match inode.node {
                Node::Dir(_) if inode.links > 0 => self.check_listing(id, ino),
                Node::Dir(_) => {}
                Node::Symlink(target) => assert_eq!(fs.readlink(ino).expect("readlink"), target),
                Node::File(bytes) => {
                    assert_eq!(attr.size, bytes.len() as u64, "size of {id} (ino {ino})");
                    self.check_read(id, ino, 0, FILE_MAX as u32);
                }
            }
        }
    }

    /// With everything removed nothing may be left in the store.
    fn remove_everything(&mut self) {
        self.note("remove everything".into());
        self.world.store.clear();
        let open = std::mem::take(&mut self.open);
        for (id, handle) in open {
            self.world.up().fs.release(self.inos[&id], handle);
            if self.model.inodes[&id].links == 0 {
                self.forget_nameless(id);
            }
        }
        self.remove_tree(ROOT);
        self.world.restart(true, true);
        self.world.restart(true, true);
        let totals = self.world.up().meta.totals().expect("totals");
        assert_eq!((totals.inodes, totals.entries, totals.live_chunks), (1, 0, 0), "{totals:?}");
        assert_eq!((totals.packs, self.world.packs()), (0, 0), "pack objects are left");
    }

    fn remove_tree(&mut self, dir: Id) {
        let entries: Vec<(Vec<u8>, Id)> =
            self.model.entries(dir).iter().map(|(n, id)| (n.clone(), *id)).collect();
        for (name, id) in entries {
            let fs = self.world.up().fs.clone();
            let (dir_ino, directory) = (self.inos[&dir], self.model.is_dir(id));
            if directory {
                self.remove_tree(id);
                fs.rmdir(dir_ino, &name).expect("rmdir");
                self.model.rmdir(dir, &name).expect("rmdir");
            } else {
                fs.unlink(dir_ino, &name).expect("unlink");
                self.model.unlink(dir, &name).expect("unlink");
            }
            self.forget_nameless(id);
        }
    }
}
