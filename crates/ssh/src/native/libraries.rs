use std::ffi::{CStr, c_char, c_int};

#[allow(unsafe_code, reason = "libssh2-sys does not declare it")]
unsafe extern "C" {
    /// Returns libssh2's version if it is at least the required one; zero requires none.
    fn libssh2_version(required: c_int) -> *const c_char;
}

/// The C libraries that the native backend runs with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NativeLibraries {
    /// The version of libssh2: `1.11.1`.
    pub libssh2: String,
    /// Whether libssh2 is the system's shared library and not a part of the program.
    pub libssh2_is_shared: bool,
    /// OpenSSL's name and version: `OpenSSL 3.0.19 27 Jan 2026`.
    pub openssl: String,
    /// Whether OpenSSL is the system's shared library, which system updates replace, and not a part
    /// of the program.
    pub openssl_is_shared: bool,
}

/// Asks the libraries that this process runs with for their versions.
#[allow(
    unsafe_code,
    reason = "neither library's crate has a safe function for it"
)]
pub fn native_libraries() -> NativeLibraries {
    // SAFETY: both functions return a pointer to a static string, whatever has been initialised.
    let (libssh2, openssl) = unsafe {
        (
            text(libssh2_version(0)),
            text(openssl_sys::OpenSSL_version(openssl_sys::OPENSSL_VERSION)),
        )
    };
    let mapped = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    NativeLibraries {
        libssh2,
        libssh2_is_shared: mapped.contains("/libssh2.so"),
        openssl,
        openssl_is_shared: mapped.contains("/libcrypto.so"),
    }
}

/// # Safety
/// The pointer is null, or points to a static string that ends with a zero byte.
#[allow(unsafe_code, reason = "strings of C")]
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: as required above.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn native_libraries_have_versions() {
        let libraries = native_libraries();
        assert!(libraries.libssh2.starts_with("1."), "{libraries:?}");
        assert!(libraries.openssl.starts_with("OpenSSL "), "{libraries:?}");
    }
}
