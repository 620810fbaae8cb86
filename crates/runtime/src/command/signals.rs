//! When to stop: SIGTERM or SIGINT begins the end, a second one is the end. SIGHUP, which a closing terminal sends to
//! services that it does not own, is not heard.

use std::future::Future;
use std::io;

#[cfg(unix)]
pub(super) fn shutdown() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};

    /// What a shell reports of a process that SIGINT ended.
    const EXIT_BY_SIGNAL: i32 = 130;

    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut hangup = signal(SignalKind::hangup())?;
    let (begin, begun) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let mut begin = Some(begin);
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                _ = hangup.recv() => continue,
            }
            if begin.take().is_none() {
                std::process::exit(EXIT_BY_SIGNAL);
            }
        }
    });
    Ok(async move {
        // The sender is dropped by the first signal.
        begun.await.unwrap_or(());
    })
}

#[cfg(not(unix))]
pub(super) fn shutdown() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    Ok(async {
        tokio::signal::ctrl_c().await.ok();
    })
}
