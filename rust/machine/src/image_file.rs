//! An image in a file: written once, then mapped by all that need the same constants.
//!
//! Numbers are 64-bit, little-endian: the magic; the lengths of the list and of the note in bytes; the list, of each
//! region its base, bytes, place in the file and CRC-32; the note; the CRC-32 of all of that. Regions begin on pages.

use crate::contents::Image;
use memmap2::Mmap;
use rayon::prelude::*;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

const MAGIC: u64 = u64::from_le_bytes(*b"rdu img1");
const WORD: usize = 8;
const PAGE: u64 = 4096;
/// More than any image has; bounds what a damaged file can make us ask for.
const LONGEST_HEAD: u64 = 1 << 26;
/// Read at once while a region is checked.
const PIECE: usize = 1 << 18;

#[derive(Clone, Copy)]
struct Entry {
    base: u64,
    bytes: u64,
    at: u64,
    crc: u64,
}

/// Writes all regions, and a note of the caller's.
pub fn save(image: &Image, note: &str, path: &Path) -> io::Result<()> {
    let regions: Vec<(u64, &[u8])> = image.regions().collect();
    let crcs: Vec<u64> = regions.par_iter().map(|(_, data)| u64::from(crc32fast::hash(data))).collect();
    let list_bytes = regions.len() * 4 * WORD;
    let mut end = (4 * WORD + list_bytes + note.len()) as u64;
    let mut entries = Vec::with_capacity(regions.len());
    for (&(base, data), crc) in regions.iter().zip(crcs) {
        let at = end.next_multiple_of(PAGE);
        end = at + data.len() as u64;
        entries.push(Entry { base, bytes: data.len() as u64, at, crc });
    }
    let mut head = words(&[MAGIC, list_bytes as u64, note.len() as u64]);
    entries.iter().for_each(|entry| head.extend(words(&[entry.base, entry.bytes, entry.at, entry.crc])));
    head.extend(note.as_bytes());
    head.extend(words(&[u64::from(crc32fast::hash(&head))]));
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(&head)?;
    let mut written = head.len() as u64;
    for (entry, (_, data)) in entries.iter().zip(&regions) {
        io::copy(&mut io::repeat(0).take(entry.at - written), &mut file)?;
        file.write_all(data)?;
        written = entry.at + entry.bytes;
    }
    file.flush()
}

/// What `save` wrote, mapped, and its note; None where the file is anything else, in any byte.
pub fn open(path: &Path) -> Option<(Image, String)> {
    let mut file = File::open(path).ok()?;
    let (entries, note) = head(&mut file)?;
    // Not by the map: its pages would count as ours though few of them may ever be used.
    entries.par_iter().all(|entry| intact(path, entry)).then_some(())?;
    // SAFETY: files of images are written under another name and renamed when whole, and never changed; one that is
    // replaced or removed lives on while it is mapped.
    let map = Arc::new(unsafe { Mmap::map(&file) }.ok()?);
    let mut image = Image::default();
    for Entry { base, bytes, at, .. } in entries {
        image.map(base, &map, at..at.checked_add(bytes)?).ok()?;
    }
    Some((image, note))
}

fn head(file: &mut File) -> Option<(Vec<Entry>, String)> {
    let mut start = [0; 3 * WORD];
    file.read_exact(&mut start).ok()?;
    let [magic, list, note] = *numbers(&start) else { return None };
    let length = list.checked_add(note).filter(|length| *length <= LONGEST_HEAD)? as usize;
    (magic == MAGIC).then_some(())?;
    let mut rest = vec![0; length + WORD];
    file.read_exact(&mut rest).ok()?;
    let (body, end) = rest.split_at(length);
    let mut crc = crc32fast::Hasher::new();
    crc.update(&start);
    crc.update(body);
    (*numbers(end) == [u64::from(crc.finalize())]).then_some(())?;
    let (list, note) = body.split_at_checked(list as usize)?;
    let entry = |four: &[u64]| Entry { base: four[0], bytes: four[1], at: four[2], crc: four[3] };
    Some((numbers(list).chunks_exact(4).map(entry).collect(), String::from_utf8(note.to_vec()).ok()?))
}

/// Whether a region's bytes are those that were written.
fn intact(path: &Path, entry: &Entry) -> bool {
    let check = || -> io::Result<bool> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(entry.at))?;
        let (mut crc, mut left, mut piece) = (crc32fast::Hasher::new(), entry.bytes, vec![0; PIECE]);
        while left > 0 {
            let now = left.min(PIECE as u64) as usize;
            file.read_exact(&mut piece[..now])?;
            crc.update(&piece[..now]);
            left -= now as u64;
        }
        Ok(u64::from(crc.finalize()) == entry.crc)
    };
    check().unwrap_or(false)
}

fn words(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn numbers(bytes: &[u8]) -> Box<[u64]> {
    bytes.as_chunks::<WORD>().0.iter().map(|word| u64::from_le_bytes(*word)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn image() -> Image {
        let mut image = Image::default();
        image.reserve(1 << 20, 100).unwrap();
        image.reserve(64, 9000).unwrap();
        image.write(64, 9000).unwrap().iter_mut().enumerate().for_each(|(at, byte)| *byte = at as u8);
        image.write((1 << 20) + 50, 3).unwrap().fill(7);
        image
    }

    #[test]
    fn an_image_comes_back_and_cannot_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        save(&image(), "a note", &path).unwrap();
        let (mut found, note) = open(&path).unwrap();
        assert_eq!(note, "a note");
        let wanted = image();
        assert!(found.regions().eq(wanted.regions()));
        assert!(found.regions().all(|(_, data)| (data.as_ptr() as usize).is_multiple_of(64)));
        assert!(found.write(64, 8).is_none(), "a mapped region is only to be read");
        found.reserve(1 << 30, 64).unwrap();
        assert!(found.reserve(1 << 20, 4).is_err() && found.write(1 << 30, 64).is_some());
    }

    #[test]
    fn a_byte_changed_or_cut_anywhere_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        save(&image(), "a note", &path).unwrap();
        let whole = fs::read(&path).unwrap();
        let head = 4 * WORD + 2 * 4 * WORD + "a note".len();
        for at in (0..head).chain([4096, 5000, whole.len() - 1]) {
            let mut changed = whole.clone();
            changed[at] ^= 0x40;
            fs::write(&path, &changed).unwrap();
            assert!(open(&path).is_none(), "byte {at}");
        }
        for length in [0, 5, 24, head, 4096, whole.len() - 1] {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(open(&path).is_none(), "cut to {length}");
        }
        fs::write(&path, &whole).unwrap();
        assert!(open(&path).is_some());
    }
}
