//! A frame opens only where it belongs, and only whole.

use super::*;
use proptest::prelude::*;

fn key(cipher: Cipher, number: u32) -> FrameKey {
    FrameKey { number, cipher, secret: Zeroizing::new([number as u8; 32]) }
}

const FS: FsId = FsId([3; 16]);

fn binding(identity: &[u8]) -> Binding<'_> {
    Binding { fs: FS, kind: Kind::Chunk, identity }
}

#[test]
fn text_shrinks_and_noise_stays() {
    let key = key(Cipher::XChaCha20Poly1305, 1);
    let text = b"the same line again and again\n".repeat(10_000);
    assert!(seal(&key, &binding(b"x"), &text, Compression::Zstd(3)).len() < text.len() / 20);
    let mut noise = vec![0; 300_000];
    getrandom::fill(&mut noise).expect("random");
    assert_eq!(seal(&key, &binding(b"x"), &noise, Compression::Zstd(3)).len(), noise.len() + OVERHEAD);
}

#[test]
fn every_changed_bit_and_every_cut_is_refused() {
    for cipher in [Cipher::XChaCha20Poly1305, Cipher::Plain] {
        let key = key(cipher, 1);
        let frame =
            seal(&key, &binding(b"id"), b"some content, some content, some content", Compression::Zstd(3));
        for at in 0..frame.len() {
            let mut bad = frame.clone();
            bad[at] ^= 1 << (at % 8);
            assert!(open(&key, &binding(b"id"), &bad, 1000).is_err(), "{cipher:?}: bit of byte {at}");
            assert!(open(&key, &binding(b"id"), &frame[..at], 1000).is_err(), "{cipher:?}: cut at {at}");
        }
    }
}

#[test]
fn a_frame_is_refused_where_it_does_not_belong() {
    let key1 = key(Cipher::XChaCha20Poly1305, 1);
    let frame = seal(&key1, &binding(b"id"), b"content", Compression::None);
    let opens = |key: &FrameKey, binding: &Binding<'_>| open(key, binding, &frame, 1000).is_ok();
    assert!(opens(&key1, &binding(b"id")));
    assert!(!opens(&key(Cipher::XChaCha20Poly1305, 2), &binding(b"id")), "another key");
    assert!(!opens(&key1, &binding(b"other")), "another identity");
    assert!(!opens(&key1, &Binding { fs: FsId([4; 16]), ..binding(b"id") }), "another file system");
    assert!(!opens(&key1, &Binding { kind: Kind::PackIndex, ..binding(b"id") }), "another kind");
    assert_eq!(open(&key1, &binding(b"id"), &frame, 6), Err(SealError::Malformed("longer than it may be")));
    assert_eq!(key_number(&frame), Ok(1));
}

/// Flows and vaults seal the same content again and again; under a repeated nonce the key would be given away.
#[test]
fn the_same_content_is_never_sealed_to_the_same_bytes() {
    let key = key(Cipher::XChaCha20Poly1305, 1);
    let nonces: std::collections::HashSet<Vec<u8>> = (0..1000)
        .map(|_| {
            let frame = seal(&key, &binding(b"id"), b"content", Compression::None);
            frame[HEADER..HEADER + NONCE].to_vec()
        })
        .collect();
    assert_eq!(nonces.len(), 1000);
}

#[test]
fn nothing_of_the_content_is_readable_in_a_sealed_frame() {
    let key = key(Cipher::XChaCha20Poly1305, 1);
    let frame = seal(&key, &binding(b"id"), &b"needle".repeat(100), Compression::None);
    assert!(!frame.windows(6).any(|w| w == b"needle"));
}

#[test]
fn empty_content_has_a_frame() {
    for cipher in [Cipher::XChaCha20Poly1305, Cipher::Plain] {
        let key = key(cipher, 1);
        let frame = seal(&key, &binding(b"id"), b"", Compression::Zstd(3));
        assert_eq!(frame.len(), OVERHEAD);
        assert_eq!(open(&key, &binding(b"id"), &frame, 0), Ok(Vec::new()));
    }
}

/// A film with a long text in it: one promising part is enough to try zstd.
#[test]
fn text_in_the_midst_of_noise_is_compressed() {
    let key = key(Cipher::XChaCha20Poly1305, 1);
    let mut content = vec![0; 3 << 20];
    getrandom::fill(&mut content).expect("random");
    content[1 << 20..2 << 20].fill(b'x');
    let frame = seal(&key, &binding(b"x"), &content, Compression::Zstd(3));
    assert!(frame.len() < (2 << 20) + (64 << 10));
    assert_eq!(open(&key, &binding(b"x"), &frame, content.len()), Ok(content));
}

/// An authentic frame of a later release, which gave a reserved byte a meaning.
#[test]
fn reserved_bytes_in_use_are_refused_even_when_authentic() {
    for at in [AT_RESERVED, AT_RESERVED_END, HEADER - 1] {
        let key = key(Cipher::Plain, 1);
        let mut frame = seal(&key, &binding(b"id"), b"content", Compression::None);
        frame[at] = 1;
        let header: Header = frame[..HEADER].try_into().expect("header");
        let end = frame.len() - TAG;
        let tag = cipher::protect(
            &key,
            &[0; NONCE],
            &associated(&header, &binding(b"id")),
            &mut frame[HEADER + NONCE..end],
        );
        frame[end..].copy_from_slice(&tag);
        assert_eq!(
            open(&key, &binding(b"id"), &frame, 100),
            Err(SealError::Malformed("reserved bytes are in use"))
        );
    }
}

proptest! {
    #[test]
    fn what_is_sealed_opens(
        content in prop::collection::vec(any::<u8>(), 0..5000),
        repeat in 1usize..40,
        level in prop::option::of(1i32..6),
        plain in any::<bool>(),
    ) {
        let content = content.repeat(repeat);
        let key = key(if plain { Cipher::Plain } else { Cipher::XChaCha20Poly1305 }, 9);
        let frame = seal(&key, &binding(b"id"), &content, level.map_or(Compression::None, Compression::Zstd));
        prop_assert!(frame.len() <= content.len() + OVERHEAD);
        prop_assert_eq!(open(&key, &binding(b"id"), &frame, content.len()), Ok(content));
    }
}
