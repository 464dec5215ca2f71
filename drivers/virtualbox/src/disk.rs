use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use crate::config::VmId;

/// What a boot2docker ISO looks for at the head of a disk: it formats such a disk, and unpacks
/// the tar that begins with it into the home directory of the user docker.
const MAGIC: &str = "boot2docker, please format-me";

/// How much of the head boot2docker keeps.
const KEPT: usize = 4096;

const SECTOR: u64 = 512;
/// A grain is what the disk takes up at once: 64 KB.
const GRAIN: u64 = 128;
const GRAIN_BYTES: usize = (GRAIN * SECTOR) as usize;
const ENTRIES_OF_TABLE: u64 = 512;
const TABLE: u64 = ENTRIES_OF_TABLE * 4 / SECTOR;
const DESCRIPTOR_AT: u64 = 1;
const DESCRIPTOR: u64 = 20;
const SECTORS_OF_MEGABYTE: u64 = 2048;

/// Where the ISO that rmachine builds reads which folders are shared, in the home directory: lines
/// of `name:/place`. It cannot ask VirtualBox, and knows the usual names without.
const SHARES: &str = ".shares";

/// Makes a machine's disk with the key that opens the machine and the name of the folder that is
/// shared with it, unless it is there.
///
/// The disk is a sparse VMDK, written here: only its tables and its first 64 KB exist.
pub fn ensure(
    path: &Path,
    megabytes: u32,
    authorized_key: &str,
    share: Option<&str>,
) -> io::Result<()> {
    if path.try_exists()? {
        return Ok(());
    }
    let userdata = userdata(authorized_key, share)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .open(&beside)?;
    write(&mut file, &name, u64::from(megabytes), &userdata)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

/// The tar at the head of the disk.
fn userdata(authorized_key: &str, share: Option<&str>) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    add(&mut tar, MAGIC, tar::EntryType::Regular, 0o644, "")?;
    add(&mut tar, ".ssh/", tar::EntryType::Directory, 0o700, "")?;
    for name in [".ssh/authorized_keys", ".ssh/authorized_keys2"] {
        add(
            &mut tar,
            name,
            tar::EntryType::Regular,
            0o644,
            authorized_key,
        )?;
    }
    if let Some(share) = share {
        let line = format!("{share}:/{share}\n");
        add(&mut tar, SHARES, tar::EntryType::Regular, 0o644, &line)?;
    }
    let bytes = tar.into_inner()?;
    // The end of a tar is two blocks of zeros, and so is what comes behind it here.
    if bytes.len() > KEPT + 1024 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the key and the name of the share are too long for boot2docker, which keeps 4096 bytes",
        ));
    }
    Ok(bytes)
}

fn add(
    tar: &mut tar::Builder<Vec<u8>>,
    name: &str,
    kind: tar::EntryType,
    mode: u32,
    content: &str,
) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_size(content.len() as u64);
    tar.append_data(&mut header, name, content.as_bytes())
}

fn write(file: &mut File, name: &str, megabytes: u64, head: &[u8]) -> io::Result<()> {
    let layout = Layout::of(megabytes * SECTORS_OF_MEGABYTE);
    file.write_all(&layout.header())?;
    file.seek(SeekFrom::Start(DESCRIPTOR_AT * SECTOR))?;
    file.write_all(layout.descriptor(name).as_bytes())?;
    let grain = u32::try_from(layout.data).map_err(io::Error::other)?;
    for directory in [layout.spare_directory, layout.directory] {
        let first_table = directory + layout.directory_sectors;
        file.seek(SeekFrom::Start(directory * SECTOR))?;
        for table in 0..layout.tables {
            let at = u32::try_from(first_table + table * TABLE).map_err(io::Error::other)?;
            file.write_all(&at.to_le_bytes())?;
        }
        file.seek(SeekFrom::Start(first_table * SECTOR))?;
        file.write_all(&grain.to_le_bytes())?;
    }
    let mut first = head.to_vec();
    first.resize(GRAIN_BYTES, 0);
    file.seek(SeekFrom::Start(layout.data * SECTOR))?;
    file.write_all(&first)
}

/// Where things are in the file, in sectors.
struct Layout {
    capacity: u64,
    tables: u64,
    directory_sectors: u64,
    spare_directory: u64,
    directory: u64,
    /// Where the grains begin.
    data: u64,
}

impl Layout {
    fn of(capacity: u64) -> Self {
        let tables = capacity.div_ceil(GRAIN).div_ceil(ENTRIES_OF_TABLE);
        let directory_sectors = (tables * 4).div_ceil(SECTOR);
        let whole = directory_sectors + tables * TABLE;
        let spare_directory = DESCRIPTOR_AT + DESCRIPTOR;
        let directory = spare_directory + whole;
        Self {
            capacity,
            tables,
            directory_sectors,
            spare_directory,
            directory,
            data: (directory + whole).next_multiple_of(GRAIN),
        }
    }

    /// The header of a sparse extent, in the order of its fields.
    fn header(&self) -> Vec<u8> {
        /// Lines are checked for having been through a text transfer; both directories are there.
        const FLAGS: u32 = 3;
        let mut header = Vec::new();
        header.extend(b"KDMV");
        header.extend(1_u32.to_le_bytes());
        header.extend(FLAGS.to_le_bytes());
        for number in [self.capacity, GRAIN, DESCRIPTOR_AT, DESCRIPTOR] {
            header.extend(number.to_le_bytes());
        }
        // 512 entries a table.
        header.extend(512_u32.to_le_bytes());
        for number in [self.spare_directory, self.directory, self.data] {
            header.extend(number.to_le_bytes());
        }
        // In order, then the line ends that a text transfer would change, then no compression.
        header.extend(b"\0\n \r\n\0\0");
        header.resize(SECTOR as usize, 0);
        header
    }

    fn descriptor(&self, name: &str) -> String {
        let geometry = Geometry::of(self.capacity);
        let (image, change) = (VmId::new(), VmId::new());
        let content: u32 = rand::random();
        format!(
            r#"# Disk DescriptorFile
version=1
CID={content:08x}
parentCID=ffffffff
createType="monolithicSparse"

# Extent description
RW {sectors} SPARSE "{name}"

# The disk Data Base
#DDB

ddb.adapterType="ide"
ddb.virtualHWVersion="4"
ddb.geometry.cylinders="{cylinders}"
ddb.geometry.heads="{heads}"
ddb.geometry.sectors="{track}"
ddb.uuid.image="{image}"
ddb.uuid.parent="00000000-0000-0000-0000-000000000000"
ddb.uuid.modification="{change}"
ddb.uuid.parentmodification="00000000-0000-0000-0000-000000000000"
"#,
            sectors = self.capacity,
            cylinders = geometry.cylinders,
            heads = geometry.heads,
            track = geometry.sectors,
        )
    }
}

/// The shape of the disk that it pretends to have, as old systems want one.
struct Geometry {
    cylinders: u64,
    heads: u64,
    sectors: u64,
}

impl Geometry {
    fn of(capacity: u64) -> Self {
        let (heads, sectors) = (16, 63);
        Self {
            cylinders: (capacity / (heads * sectors)).clamp(1, 16383),
            heads,
            sectors,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_is_a_tar_that_begins_with_the_magic() {
        let key = format!("ssh-ed25519 {} n1\n", "A".repeat(400));
        let head = userdata(&key, Some("a b")).unwrap();
        assert!(head.starts_with(MAGIC.as_bytes()));
        let mut archive = tar::Archive::new(&head[..KEPT]);
        let entries: Vec<(String, u32, u64)> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let name = entry.path().unwrap().display().to_string();
                (name, entry.header().mode().unwrap(), entry.size())
            })
            .collect();
        assert_eq!(entries.len(), 5);
        assert_eq!(entries[0].0, MAGIC);
        assert_eq!(entries[1], (".ssh/".to_owned(), 0o700, 0));
        assert_eq!(entries[2], (".ssh/authorized_keys".to_owned(), 0o644, 416));
        assert_eq!(entries[4], (".shares".to_owned(), 0o644, 9));
        assert!(userdata(&"k".repeat(2000), None).is_err());
    }

    #[test]
    fn the_disk_is_small_and_says_how_large_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk.vmdk");
        ensure(&path, 20_000, "key", None).unwrap();
        let bytes = fs::read(&path).unwrap();
        assert!(bytes.len() < 4_000_000, "{}", bytes.len());
        assert!(bytes.starts_with(b"KDMV"));
        assert_eq!(&bytes[73..77], b"\n \r\n");
        let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        assert_eq!(number(12), 20_000 * SECTORS_OF_MEGABYTE);
        let grains = usize::try_from(number(64) * SECTOR).unwrap();
        assert!(bytes[grains..].starts_with(MAGIC.as_bytes()));
        assert_eq!(bytes.len() - grains, GRAIN_BYTES);
        let text = String::from_utf8_lossy(&bytes[512..2048]);
        assert!(text.contains(r#"RW 40960000 SPARSE "disk.vmdk""#), "{text}");

        // A disk that is there may hold data.
        fs::write(&path, "data").unwrap();
        ensure(&path, 20_000, "key", None).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"data");
    }

    #[test]
    fn tables_do_not_overlap_at_any_size() {
        for megabytes in [16, 17, 200, 20_000, 2_000_000] {
            let layout = Layout::of(megabytes * SECTORS_OF_MEGABYTE);
            let whole = layout.directory_sectors + layout.tables * TABLE;
            assert!(layout.tables * ENTRIES_OF_TABLE * GRAIN >= layout.capacity);
            assert!(layout.directory_sectors * SECTOR >= layout.tables * 4);
            assert_eq!(layout.directory, layout.spare_directory + whole);
            assert!(layout.data >= layout.directory + whole);
        }
    }
}
