//! What a program's own head says of where it runs.

use object::elf;
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _};

use crate::Architecture;

type Head = elf::FileHeader64<object::LittleEndian>;
type Segment = elf::ProgramHeader64<object::LittleEndian>;

/// A program, or a library, for Linux.
pub(crate) struct Elf<'a> {
    data: &'a [u8],
    endian: object::LittleEndian,
    machine: u16,
    segments: &'a [Segment],
}

/// Which libraries it needs, and where it wants them looked for first.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Needs<'a> {
    pub(crate) libraries: Vec<&'a str>,
    pub(crate) dirs: Vec<&'a str>,
}

impl<'a> Elf<'a> {
    /// Reads the head. Says what is wrong with what is none.
    pub(crate) fn read(data: &'a [u8]) -> Result<Self, String> {
        let none = |_| "is no program for Linux".to_owned();
        let head = Head::parse(data).map_err(none)?;
        let endian = head.endian().map_err(none)?;
        Ok(Self {
            data,
            endian,
            machine: head.e_machine(endian),
            segments: head.program_headers(endian, data).map_err(none)?,
        })
    }

    /// The machines that it is for; says so where rmachine knows none of them.
    pub(crate) fn architecture(&self) -> Result<Architecture, String> {
        match self.machine {
            elf::EM_X86_64 => Ok(Architecture::Amd64),
            elf::EM_AARCH64 => Ok(Architecture::Arm64),
            _ => Err("is for another kind of machine".to_owned()),
        }
    }

    /// Whether it names a loader, which is a part of its host.
    pub(crate) fn is_dynamic(&self) -> bool {
        let mut types = self.segments.iter().map(|it| it.p_type(self.endian));
        types.any(|kind| kind == elf::PT_INTERP)
    }

    /// The loader that it names.
    pub(crate) fn loader(&self) -> Result<Option<&'a str>, String> {
        for segment in self.segments {
            let named = segment.interpreter(self.endian, self.data);
            if let Some(loader) = named.map_err(|_| damaged())? {
                return text(loader).map(Some);
            }
        }
        Ok(None)
    }

    pub(crate) fn needs(&self) -> Result<Needs<'a>, String> {
        let mut needs = Needs::default();
        let mut entries = None;
        for segment in self.segments {
            let dynamic = segment.dynamic(self.endian, self.data);
            entries = entries.or(dynamic.map_err(|_| damaged())?);
        }
        let Some(entries) = entries else {
            return Ok(needs);
        };
        let value = |tag: i64| {
            let found = entries.iter().find(|it| it.tag(self.endian) == tag);
            found.map(|it| it.d_val(self.endian))
        };
        let strings = match (value(elf::DT_STRTAB), value(elf::DT_STRSZ)) {
            (Some(at), Some(size)) => self.mapped(at, size).ok_or_else(damaged)?,
            _ => return Ok(needs),
        };
        for entry in entries {
            let (tag, at) = (entry.tag(self.endian), entry.d_val(self.endian));
            if !matches!(tag, elf::DT_NEEDED | elf::DT_RPATH | elf::DT_RUNPATH) {
                continue;
            }
            let at = usize::try_from(at).ok().and_then(|at| strings.get(at..));
            let named = at.and_then(|rest| rest.split(|byte| *byte == 0).next());
            let named = text(named.ok_or_else(damaged)?)?;
            match tag {
                elf::DT_NEEDED => needs.libraries.push(named),
                _ => needs.dirs.extend(named.split(':')),
            }
        }
        Ok(needs)
    }

    /// What lies at an address once it is loaded.
    fn mapped(&self, address: u64, size: u64) -> Option<&'a [u8]> {
        let loaded = self.segments.iter();
        let loaded = loaded.filter(|it| it.p_type(self.endian) == elf::PT_LOAD);
        let mut ranges = loaded.map(|it| it.data_range(self.endian, self.data, address, size));
        ranges.find_map(|range| range.ok().flatten())
    }
}

fn text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| damaged())
}

fn damaged() -> String {
    "is damaged".to_owned()
}
