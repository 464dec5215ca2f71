use rcgen::{KeyPair, PublicKeyData};
use time::OffsetDateTime;

use crate::info::with_certificate;
use crate::{CertificateInfo, PkiError};

/// Whether a certificate was issued by this authority, and both are valid at that time.
///
/// # Errors
/// [`PkiError::NotAnAuthority`], [`PkiError::OtherAuthority`], [`PkiError::Expired`],
/// [`PkiError::NotYetValid`]; [`PkiError::NoCertificate`] when one cannot be read.
pub fn verify_chain(
    certificate: &str,
    authority: &str,
    now: OffsetDateTime,
) -> Result<(), PkiError> {
    let leaf = CertificateInfo::read(certificate)?;
    let issuer = CertificateInfo::read(authority)?;
    check_authority(&issuer)?;
    let signed = with_certificate(certificate, |leaf| {
        with_certificate(authority, |issuer| {
            leaf.issuer() == issuer.subject()
                && leaf.verify_signature(Some(issuer.public_key())).is_ok()
        })
    })??;
    if !signed {
        return Err(PkiError::OtherAuthority {
            subject: leaf.subject,
            authority: issuer.subject,
        });
    }
    check_time(&issuer, now)?;
    check_time(&leaf, now)
}

/// Whether a private key is that of a certificate.
///
/// # Errors
/// [`PkiError::NoCertificate`] or [`PkiError::NoKey`] when one cannot be read.
pub fn key_matches(certificate: &str, key: &str) -> Result<bool, PkiError> {
    let pair = KeyPair::from_pem(key).map_err(PkiError::NoKey)?;
    with_certificate(certificate, |certificate| {
        certificate.public_key().raw == pair.subject_public_key_info()
    })
}

pub(crate) fn check_authority(info: &CertificateInfo) -> Result<(), PkiError> {
    match info.is_authority {
        true => Ok(()),
        false => Err(PkiError::NotAnAuthority {
            subject: info.subject.clone(),
        }),
    }
}

pub(crate) fn check_time(info: &CertificateInfo, now: OffsetDateTime) -> Result<(), PkiError> {
    if now > info.not_after {
        return Err(PkiError::Expired {
            subject: info.subject.clone(),
            not_after: info.not_after,
        });
    }
    if now < info.not_before {
        return Err(PkiError::NotYetValid {
            subject: info.subject.clone(),
            not_before: info.not_before,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Authority, KeyType};
    use time::Duration;

    #[test]
    fn tells_why_a_chain_does_not_hold() {
        let now = OffsetDateTime::now_utc();
        let (authority, ca) = Authority::create("ann", KeyType::Ecdsa).unwrap();
        // The same subject, another key: only the signature tells them apart.
        let (_, other) = Authority::create("ann", KeyType::Ecdsa).unwrap();
        let made = authority.issue_client("ann", KeyType::Ecdsa).unwrap();
        let verify = |ca: &str, at| verify_chain(&made.certificate, ca, at);
        verify(&ca.certificate, now).unwrap();
        assert!(matches!(
            verify(&other.certificate, now),
            Err(PkiError::OtherAuthority { .. })
        ));
        assert!(matches!(
            verify(&made.certificate, now),
            Err(PkiError::NotAnAuthority { .. })
        ));
        assert!(matches!(
            verify(&ca.certificate, now + Duration::days(1081)),
            Err(PkiError::Expired { .. })
        ));
        assert!(matches!(
            verify(&ca.certificate, now - Duration::hours(2)),
            Err(PkiError::NotYetValid { .. })
        ));
    }
}
