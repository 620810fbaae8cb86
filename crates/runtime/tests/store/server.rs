//! A PostgreSQL server of a specification's own, to be killed and started again, and a wire to it that can be held.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use runtime::testing::SERVER;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A cluster of its own. Gone when dropped.
pub(crate) struct Server {
    folder: String,
    pub(crate) url: String,
}

impl Server {
    /// None when the specifications run on SQLite.
    pub(crate) fn start() -> Option<Self> {
        #[expect(clippy::disallowed_methods, reason = "the engine under test")]
        std::env::var(SERVER).ok().filter(|url| !url.is_empty())?;
        let said = script(&["start"]);
        let (folder, url) = said.trim().split_once('\n').expect("the folder and the URL");
        Some(Self { folder: folder.to_owned(), url: url.to_owned() })
    }

    pub(crate) fn down(&self) {
        script(&["down", &self.folder]);
    }

    pub(crate) fn up(&self) {
        script(&["up", &self.folder]);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        script(&["stop", &self.folder]);
    }
}

fn script(arguments: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/postgres.sh");
    let done = Command::new(script).args(arguments).output().expect("tests/postgres.sh runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("text")
}

/// A wire to a server, on a port of its own: it lets everything through, or nothing, without hanging up.
pub(crate) struct Wire {
    pub(crate) port: u16,
    open: watch::Sender<bool>,
}

impl Wire {
    pub(crate) async fn to(server_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let open = watch::Sender::new(true);
        let held = Arc::new(open.subscribe());
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut held = watch::Receiver::clone(&held);
                tokio::spawn(async move {
                    held.wait_for(|open| *open).await.ok();
                    let Ok(mut far) = TcpStream::connect(("127.0.0.1", server_port)).await else { return };
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => return,
                        _ = held.wait_for(|open| !open) => {}
                    }
                    // Bytes in flight stay where they are; both ends see silence, and at last the cut.
                    held.wait_for(|open| *open).await.ok();
                });
            }
        });
        Self { port, open }
    }

    /// Nothing goes through any more, and nobody is told.
    pub(crate) fn hold(&self) {
        self.open.send_replace(false);
    }

    /// What comes now goes through; what was held is cut.
    pub(crate) fn release(&self) {
        self.open.send_replace(true);
    }
}
