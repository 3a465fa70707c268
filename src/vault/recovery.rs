//! A recovery key as people copy it: 256 bits and a checksum in groups of letters and digits.
//!
//! The alphabet is Crockford's base 32: no I, L, O, U; a reader takes I and L for 1, O for 0, either case,
//! and any spaces and dashes. A typing error is told from a wrong key by the checksum.

use super::VaultError;
use zeroize::Zeroizing;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const KEY: usize = 32;
const CHECK: usize = 3;
/// 35 bytes are exactly 56 letters: eight groups of seven.
const LETTERS: usize = (KEY + CHECK) * 8 / 5;
const GROUP: usize = 7;
const CONTEXT: &str = "pail v1 recovery key checksum";

fn checksum(key: &[u8; KEY]) -> [u8; CHECK] {
    let digest = blake3::derive_key(CONTEXT, key);
    [digest[0], digest[1], digest[2]]
}

/// For the terminal.
pub(super) fn to_text(key: &[u8; KEY]) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0; KEY + CHECK]);
    bytes[..KEY].copy_from_slice(key);
    bytes[KEY..].copy_from_slice(&checksum(key));
    let mut text = Zeroizing::new(String::with_capacity(LETTERS + LETTERS / GROUP));
    for letter in 0..LETTERS {
        if letter > 0 && letter % GROUP == 0 {
            text.push('-');
        }
        let value = (0..5).fold(0, |value, bit| {
            let at = letter * 5 + bit;
            value << 1 | usize::from(bytes[at / 8] >> (7 - at % 8) & 1)
        });
        text.push(char::from(ALPHABET[value]));
    }
    text
}

fn value_of(letter: u8) -> Option<u8> {
    let letter = match letter.to_ascii_uppercase() {
        b'I' | b'L' => b'1',
        b'O' => b'0',
        other => other,
    };
    ALPHABET.iter().position(|a| *a == letter).map(|p| p as u8)
}

/// From what a person typed.
pub(super) fn from_text(text: &str) -> Result<Zeroizing<[u8; KEY]>, VaultError> {
    let bad = |what: String| VaultError::BadParameter(format!("this is no recovery key: {what}"));
    let letters: Zeroizing<Vec<u8>> =
        Zeroizing::new(text.bytes().filter(|b| !b.is_ascii_whitespace() && *b != b'-').collect());
    if letters.len() != LETTERS {
        return Err(bad(format!("it has {} letters and digits, not {LETTERS}", letters.len())));
    }
    let mut bytes = Zeroizing::new([0u8; KEY + CHECK]);
    for (letter, byte) in letters.iter().enumerate() {
        let value = value_of(*byte).ok_or_else(|| bad(format!("{:?} is not in one", char::from(*byte))))?;
        for bit in 0..5 {
            let at = letter * 5 + bit;
            bytes[at / 8] |= (value >> (4 - bit) & 1) << (7 - at % 8);
        }
    }
    let mut key = Zeroizing::new([0; KEY]);
    key.copy_from_slice(&bytes[..KEY]);
    if checksum(&key) != bytes[KEY..] {
        return Err(bad("a typing error (the checksum is wrong)".to_owned()));
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_people_type_it() {
        let key = [0xa7; KEY];
        let text = to_text(&key);
        assert_eq!(text.len(), LETTERS + LETTERS / GROUP - 1);
        let sloppy = text.to_lowercase().replace('-', "  ").replace('1', "l").replace('0', "O");
        assert_eq!(*from_text(&sloppy).expect("read"), key);
    }

    #[test]
    fn a_typing_error_is_found() {
        let text = to_text(&[9; KEY]);
        for at in 0..text.len() {
            let mut typed = text.as_bytes().to_vec();
            if typed[at] == b'-' {
                continue;
            }
            typed[at] = if typed[at] == b'7' { b'8' } else { b'7' };
            let typed = String::from_utf8(typed).expect("ASCII");
            assert!(from_text(&typed).is_err(), "letter {at}");
        }
        assert!(from_text("ABC").is_err());
    }
}
