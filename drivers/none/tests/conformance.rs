//! The driver contract, for machines that are a URL.

use rmachine_driver::FlagValue;
use rmachine_driver_conformance::{Subject, walk};
use rmachine_none::UrlOnly;

#[tokio::test]
async fn a_url_lives_the_life_of_a_machine() {
    let url = "tcp://127.0.0.1:2376";
    let given = [("url", FlagValue::Text(url.to_owned()))];
    let subject = Subject::new(&UrlOnly, "known", given);
    let driver = walk(&subject).await;
    assert_eq!(driver.url().await.ok().as_deref(), Some(url));
}
