//! POSIX ACLs as their extended attributes hold them, and their effect on modes.
//!
//! The kernel checks permissions with the ACL it reads from us, but leaves three things to the file
//! system: what a new inode inherits, that chmod(2) writes through to the ACL, and that setting an
//! access ACL writes through to the mode (fs/fuse/acl.c; acl(5)).

use super::mode::RWX;

/// The access ACL's attribute.
pub const ACCESS: &[u8] = b"system.posix_acl_access";
/// The default ACL's attribute (directories only).
pub const DEFAULT: &[u8] = b"system.posix_acl_default";

/// The kernel's POSIX_ACL_XATTR_VERSION.
const VERSION: u32 = 2;
const HEADER: usize = 4;
const ENTRY: usize = 8;

const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct AclEntry {
    tag: u16,
    perm: u16,
    id: u32,
}

/// A well-formed ACL: it has the three base entries, and a mask if it names anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acl {
    entries: Vec<AclEntry>,
}

impl Acl {
    /// Reads an attribute's value; `None` when it is not a well-formed ACL.
    pub fn parse(value: &[u8]) -> Option<Acl> {
        let (header, body) = value.split_at_checked(HEADER)?;
        if u32::from_le_bytes(header.try_into().ok()?) != VERSION || body.len() % ENTRY != 0 {
            return None;
        }
        let entries: Vec<AclEntry> = body
            .chunks_exact(ENTRY)
            .map(|e| AclEntry {
                tag: u16::from_le_bytes([e[0], e[1]]), // proof: chunks_exact gives ENTRY bytes
                perm: u16::from_le_bytes([e[2], e[3]]),
                id: u32::from_le_bytes([e[4], e[5], e[6], e[7]]),
            })
            .collect();
        let count = |tag| entries.iter().filter(|e| e.tag == tag).count();
        let known = entries
            .iter()
            .all(|e| e.perm <= 7 && matches!(e.tag, USER_OBJ | USER | GROUP_OBJ | GROUP | MASK | OTHER));
        let named = count(USER) + count(GROUP) > 0;
        let whole = [USER_OBJ, GROUP_OBJ, OTHER].iter().all(|tag| count(*tag) == 1)
            && count(MASK) <= 1
            && (!named || count(MASK) == 1);
        (known && whole).then_some(Acl { entries })
    }

    /// The attribute's value.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = VERSION.to_le_bytes().to_vec();
        for e in &self.entries {
            out.extend_from_slice(&e.tag.to_le_bytes());
            out.extend_from_slice(&e.perm.to_le_bytes());
            out.extend_from_slice(&e.id.to_le_bytes());
        }
        out
    }

    /// Whether it says no more than a mode can.
    pub fn is_minimal(&self) -> bool {
        self.entries.len() == 3
    }

    fn perm(&self, tag: u16) -> Option<u32> {
        self.entries.iter().find(|e| e.tag == tag).map(|e| u32::from(e.perm))
    }

    fn set(&mut self, tag: u16, perm: u32) {
        self.entries.iter_mut().filter(|e| e.tag == tag).for_each(|e| e.perm = (perm & 7) as u16);
    }

    /// The tag that the mode's group bits stand for: the mask where there is one (acl(5)).
    fn group_class(&self) -> u16 {
        if self.perm(MASK).is_some() { MASK } else { GROUP_OBJ }
    }

    /// The nine permission bits that this ACL shows as.
    pub fn mode(&self) -> u32 {
        let get = |tag| self.perm(tag).unwrap_or(0);
        get(USER_OBJ) << 6 | get(self.group_class()) << 3 | get(OTHER)
    }

    /// chmod(2): the owner, the group class and the others take the mode's bits.
    pub fn chmod(&mut self, mode: u32) {
        let class = self.group_class();
        self.set(USER_OBJ, mode >> 6);
        self.set(class, mode >> 3);
        self.set(OTHER, mode);
    }

    /// What a new inode's access ACL becomes from its directory's default ACL and the mode asked for:
    /// each class keeps only what both allow. Gives the resulting mode bits, file type and others kept.
    pub fn inherit(&mut self, mode: u32) -> u32 {
        let allowed = self.mode() & mode & RWX;
        self.chmod(allowed);
        (mode & !RWX) | allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(entries: &[(u16, u16, u32)]) -> Acl {
        let mut bytes = VERSION.to_le_bytes().to_vec();
        for (tag, perm, id) in entries {
            bytes.extend_from_slice(&tag.to_le_bytes());
            bytes.extend_from_slice(&perm.to_le_bytes());
            bytes.extend_from_slice(&id.to_le_bytes());
        }
        Acl::parse(&bytes).expect("well-formed")
    }

    #[test]
    fn the_mask_stands_for_the_group() {
        let mut a =
            acl(&[(USER_OBJ, 7, !0), (USER, 7, 1000), (GROUP_OBJ, 5, !0), (MASK, 6, !0), (OTHER, 0, !0)]);
        assert_eq!(a.mode(), 0o760);
        a.chmod(0o640);
        assert_eq!(a.mode(), 0o640);
        assert_eq!(a.perm(GROUP_OBJ), Some(5), "chmod changes the mask, not the owning group's entry");
        assert_eq!(Acl::parse(&a.to_bytes()), Some(a));
    }

    #[test]
    fn inheriting_keeps_what_both_allow() {
        let mut a = acl(&[(USER_OBJ, 7, !0), (GROUP_OBJ, 5, !0), (OTHER, 5, !0)]);
        assert!(a.is_minimal());
        assert_eq!(a.inherit(0o100666), 0o100644);
    }

    #[test]
    fn malformed_values_are_refused() {
        assert_eq!(Acl::parse(&[]), None);
        assert_eq!(Acl::parse(&[1, 0, 0, 0]), None);
        let whole = acl(&[(USER_OBJ, 7, !0), (GROUP_OBJ, 5, !0), (OTHER, 5, !0)]).to_bytes();
        for cut in 0..whole.len() {
            assert_eq!(Acl::parse(&whole[..cut]), None, "cut at {cut}");
        }
    }
}
