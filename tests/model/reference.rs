//! What a file system is, in the simplest words: maps of names and vectors of bytes.

use std::collections::BTreeMap;

pub type Id = usize;
pub const ROOT: Id = 0;

/// What an operation may fail with; compared with the file system's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    NotFound,
    Exists,
    NotDir,
    IsDir,
    NotEmpty,
    Invalid,
    NotPermitted,
    NoData,
}

#[derive(Clone, Debug)]
pub enum Node {
    File(Vec<u8>),
    Dir(BTreeMap<Vec<u8>, Id>),
    Symlink(Vec<u8>),
}

#[derive(Clone, Debug)]
pub struct Inode {
    pub node: Node,
    pub links: u32,
    pub parent: Id,
    pub mode: u32,
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

#[derive(Debug)]
pub struct Reference {
    pub inodes: BTreeMap<Id, Inode>,
    next: Id,
}

impl Reference {
    pub fn new() -> Reference {
        let mut model = Reference { inodes: BTreeMap::new(), next: 0 };
        model.add(Node::Dir(BTreeMap::new()), 0o755, ROOT);
        model
    }

    fn add(&mut self, node: Node, mode: u32, parent: Id) -> Id {
        let id = self.next;
        self.next += 1;
        let links = if matches!(node, Node::Dir(_)) { 2 } else { 1 };
        self.inodes.insert(id, Inode { node, links, parent, mode, xattrs: BTreeMap::new() });
        id
    }

    pub fn entries(&self, dir: Id) -> &BTreeMap<Vec<u8>, Id> {
        match &self.inodes[&dir].node {
            Node::Dir(entries) => entries,
            other => panic!("{dir} is no directory: {other:?}"),
        }
    }

    fn entries_mut(&mut self, dir: Id) -> &mut BTreeMap<Vec<u8>, Id> {
        match &mut self.inodes.get_mut(&dir).expect("there").node {
            Node::Dir(entries) => entries,
            other => panic!("{dir} is no directory: {other:?}"),
        }
    }

    pub fn is_dir(&self, id: Id) -> bool {
        matches!(self.inodes[&id].node, Node::Dir(_))
    }

    /// All directories that can be reached.
    pub fn dirs(&self) -> Vec<Id> {
        self.inodes
            .iter()
            .filter(|(_, i)| i.links > 0 && matches!(i.node, Node::Dir(_)))
            .map(|(id, _)| *id)
            .collect()
    }

    pub fn lookup(&self, dir: Id, name: &[u8]) -> Option<Id> {
        self.entries(dir).get(name).copied()
    }

    pub fn make(&mut self, dir: Id, name: &[u8], node: Node, mode: u32) -> Result<Id, Refused> {
        if self.lookup(dir, name).is_some() {
            return Err(Refused::Exists);
        }
        let directory = matches!(node, Node::Dir(_));
        let id = self.add(node, mode, dir);
        self.entries_mut(dir).insert(name.to_vec(), id);
        if directory {
            self.inodes.get_mut(&dir).expect("there").links += 1;
        }
        Ok(id)
    }

    pub fn link(&mut self, id: Id, dir: Id, name: &[u8]) -> Result<(), Refused> {
        if self.is_dir(id) {
            return Err(Refused::NotPermitted);
        }
        if self.inodes[&id].links == 0 {
            return Err(Refused::NotFound);
        }
        if self.lookup(dir, name).is_some() {
            return Err(Refused::Exists);
        }
        self.entries_mut(dir).insert(name.to_vec(), id);
        self.inodes.get_mut(&id).expect("there").links += 1;
        Ok(())
    }

    /// Takes a name's link; a directory's goes with its parent's.
    fn drop_name(&mut self, dir: Id, name: &[u8]) {
        let id = self.entries_mut(dir).remove(name).expect("a name");
        if self.is_dir(id) {
            self.inodes.get_mut(&id).expect("there").links = 0;
            self.inodes.get_mut(&dir).expect("there").links -= 1;
        } else {
            self.inodes.get_mut(&id).expect("there").links -= 1;
        }
    }

    pub fn unlink(&mut self, dir: Id, name: &[u8]) -> Result<(), Refused> {
        let id = self.lookup(dir, name).ok_or(Refused::NotFound)?;
        if self.is_dir(id) {
            return Err(Refused::IsDir);
        }
        self.drop_name(dir, name);
        Ok(())
    }

    pub fn rmdir(&mut self, dir: Id, name: &[u8]) -> Result<(), Refused> {
        let id = self.lookup(dir, name).ok_or(Refused::NotFound)?;
        match &self.inodes[&id].node {
            Node::Dir(entries) if !entries.is_empty() => return Err(Refused::NotEmpty),
            Node::Dir(_) => {}
            _ => return Err(Refused::NotDir),
        }
        self.drop_name(dir, name);
        Ok(())
    }

    fn below(&self, dir: Id, top: Id) -> bool {
        let mut at = dir;
        loop {
            if at == top {
                return true;
            }
            if at == ROOT {
                return false;
            }
            at = self.inodes[&at].parent;
        }
    }

    pub fn rename(
        &mut self,
        from: (Id, &[u8]),
        to: (Id, &[u8]),
        exchange: bool,
        no_replace: bool,
    ) -> Result<(), Refused> {
        let id = self.lookup(from.0, from.1).ok_or(Refused::NotFound)?;
        let target = self.lookup(to.0, to.1);
        if exchange {
            return self.exchange(from, to, id, target.ok_or(Refused::NotFound)?);
        }
        if let Some(target) = target {
            if no_replace {
                return Err(Refused::Exists);
            }
            if target == id {
                return Ok(());
            }
        }
        if self.is_dir(id) && self.below(to.0, id) {
            return Err(Refused::Invalid);
        }
        if let Some(target) = target {
            match (&self.inodes[&id].node, &self.inodes[&target].node) {
                (Node::Dir(_), Node::Dir(entries)) if !entries.is_empty() => return Err(Refused::NotEmpty),
                (Node::Dir(_), Node::Dir(_)) => {}
                (Node::Dir(_), _) => return Err(Refused::NotDir),
                (_, Node::Dir(_)) => return Err(Refused::IsDir),
                _ => {}
            }
            self.drop_name(to.0, to.1);
        }
        self.entries_mut(from.0).remove(from.1);
        self.entries_mut(to.0).insert(to.1.to_vec(), id);
        self.moved(id, from.0, to.0);
        Ok(())
    }

    fn moved(&mut self, id: Id, from: Id, to: Id) {
        if self.is_dir(id) {
            self.inodes.get_mut(&from).expect("there").links -= 1;
            self.inodes.get_mut(&to).expect("there").links += 1;
            self.inodes.get_mut(&id).expect("there").parent = to;
        }
    }

    fn exchange(&mut self, a: (Id, &[u8]), b: (Id, &[u8]), at_a: Id, at_b: Id) -> Result<(), Refused> {
        if at_a == at_b {
            return Ok(());
        }
        if self.is_dir(at_a) && self.below(b.0, at_a) || self.is_dir(at_b) && self.below(a.0, at_b) {
            return Err(Refused::Invalid);
        }
        self.entries_mut(a.0).insert(a.1.to_vec(), at_b);
        self.entries_mut(b.0).insert(b.1.to_vec(), at_a);
        self.moved(at_a, a.0, b.0);
        self.moved(at_b, b.0, a.0);
        Ok(())
    }

    pub fn content(&mut self, id: Id) -> &mut Vec<u8> {
        match &mut self.inodes.get_mut(&id).expect("there").node {
            Node::File(bytes) => bytes,
            other => panic!("{id} is no file: {other:?}"),
        }
    }

    pub fn write(&mut self, id: Id, offset: usize, data: &[u8]) {
        let bytes = self.content(id);
        if bytes.len() < offset + data.len() {
            bytes.resize(offset + data.len(), 0);
        }
        bytes[offset..offset + data.len()].copy_from_slice(data);
    }

    pub fn zero(&mut self, id: Id, start: usize, end: usize) {
        let bytes = self.content(id);
        let end = end.min(bytes.len());
        if start < end {
            bytes[start..end].fill(0);
        }
    }
}
