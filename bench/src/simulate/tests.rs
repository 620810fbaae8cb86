//! A few days of some clients, with many more thefts than there are, on every machine that runs the tests.

use super::tally::ACCESS_LIFETIME;
use super::{Simulation, run};

#[tokio::test]
async fn no_honest_client_is_signed_out_and_every_thief_that_comes_back_is_found() {
    let simulation = Simulation { clients: 80, days: 2, seed: 7, thefts_per_mille: 250 };
    let tally = run(simulation).await.expect("it is lived through");
    assert!(tally.lost > 50 && tally.missed > 20, "{} answers lost, {} missed", tally.lost, tally.missed);
    assert_eq!(tally.honest_signed_out(), 0, "{:?}", tally.signed_out);
    let (reused, detections) = (tally.reused().count(), tally.detections());
    assert!(reused >= 5, "{reused} thefts of {}", tally.stolen);
    assert_eq!(detections.len(), reused, "every session of which a superseded token was used again has ended");
    assert!(detections.iter().all(|span| *span <= ACCESS_LIFETIME), "{detections:?}");
}
