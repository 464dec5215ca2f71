use time::OffsetDateTime;

/// Why a certificate or a key cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// The text holds no certificate that can be read.
    #[error("it is no certificate in PEM: {reason}")]
    NoCertificate {
        /// What was found in its place.
        reason: String,
    },

    /// The text holds no private key that can be read.
    #[error("it is no unencrypted private key in PEM (PKCS#8, PKCS#1 or SEC1)")]
    NoKey(#[source] rcgen::Error),

    /// The private key is not that of the certificate.
    #[error("the private key is not that of the certificate of {subject}")]
    KeyMismatch {
        /// Whom the certificate is made out to.
        subject: String,
    },

    /// The certificate may not issue others.
    #[error("the certificate of {subject} is not one of a certificate authority")]
    NotAnAuthority {
        /// Whom the certificate is made out to.
        subject: String,
    },

    /// The certificate was issued by somebody else.
    #[error("the certificate of {subject} was not issued by {authority}")]
    OtherAuthority {
        /// Whom the certificate is made out to.
        subject: String,
        /// The authority it was held against.
        authority: String,
    },

    /// The certificate's time is over.
    #[error("the certificate of {subject} expired on {}", .not_after.date())]
    Expired {
        /// Whom the certificate is made out to.
        subject: String,
        /// When.
        not_after: OffsetDateTime,
    },

    /// The certificate's time has not come.
    #[error("the certificate of {subject} is not valid before {not_before}; is the clock right?")]
    NotYetValid {
        /// Whom the certificate is made out to.
        subject: String,
        /// From when on.
        not_before: OffsetDateTime,
    },

    /// A name can stand in no certificate.
    #[error("{name:?} cannot stand in a certificate")]
    InvalidName {
        /// The name.
        name: String,
    },

    /// The crypto provider gives no random numbers.
    #[error("there are no random numbers for a certificate")]
    NoRandomness,

    /// A key or certificate could not be made.
    #[error("a key or certificate could not be made")]
    Generation(#[source] rcgen::Error),

    /// TLS cannot be set up with these files.
    #[error("TLS cannot be set up with these certificates")]
    Tls(#[source] rustls::Error),
}
