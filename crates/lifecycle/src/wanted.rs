//! From a machine's record to what its host is to become: pure functions.

use std::net::IpAddr;

use rmachine_driver::Driver;
use rmachine_machine::{EngineOptions, Record};
use rmachine_pki::{InvalidKeyType, KeyType};
use rmachine_provision::{
    Bind, EngineInstall, EngineSettings, InvalidSetting, TlsMaterial, Wanted,
};

use crate::LifecycleError;

pub(crate) fn wanted(
    record: &Record,
    driver: &dyn Driver,
    reached: &[IpAddr],
    tls: TlsMaterial,
) -> Result<Wanted, LifecycleError> {
    let only_v6 = !reached.is_empty() && reached.iter().all(IpAddr::is_ipv6);
    let install = record.own.engine_install.as_deref().map(str::parse);
    let install: EngineInstall = install.transpose()?.unwrap_or_default();
    let mut engine = settings(&record.engine, install)?;
    engine.port = driver.engine_port();
    engine.bind = if only_v6 { Bind::V6 } else { Bind::V4 };
    engine.labels.push(format!("provider={}", driver.name()));
    Ok(Wanted {
        hostname: Some(record.name().to_string()),
        engine,
        tls,
    })
}

fn settings(
    options: &EngineOptions,
    install: EngineInstall,
) -> Result<EngineSettings, InvalidSetting> {
    let usual = EngineSettings::default();
    let or = |given: &String, usual: String| match given.is_empty() {
        true => usual,
        false => given.clone(),
    };
    Ok(EngineSettings {
        options: parsed(&options.arbitrary_flags)?,
        labels: options.labels.clone(),
        env: parsed(&options.env)?,
        insecure_registries: options.insecure_registry.clone(),
        registry_mirrors: options.registry_mirror.clone(),
        store_tls: None,
        storage_driver: Some(options.storage_driver.clone()).filter(|name| !name.is_empty()),
        install,
        install_url: or(&options.install_url, usual.install_url),
        port: usual.port,
        bind: usual.bind,
    })
}

fn parsed<T>(texts: &[String]) -> Result<Vec<T>, InvalidSetting>
where
    T: std::str::FromStr<Err = InvalidSetting>,
{
    texts.iter().map(|text| text.parse()).collect()
}

/// The kind of keys a machine was asked to have; docker-machine's machines have RSA keys, but
/// nothing in them depends on it.
pub(crate) fn key_type(record: &Record) -> Result<KeyType, InvalidKeyType> {
    match record.own.tls_key_type.as_deref() {
        Some(text) => text.parse(),
        None => Ok(KeyType::default()),
    }
}
