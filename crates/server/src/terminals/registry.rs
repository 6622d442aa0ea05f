//! The terminals that there are, and what is known of each.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use api::{
    id::{EngineName, TerminalId},
    terminal::{Terminal, TerminalState},
};
use jiff::Timestamp;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::{pump, ring::Ring};
use crate::{
    auth::Caller,
    engines::{Engine, Input, Output},
    state::AppState,
};

/// A terminal lives so long when nobody is connected; and an ended one is told so long.
pub(super) const KEPT_FOR: Duration = Duration::from_mins(1);
/// Of one person at a time.
const MOST_OF_ONE: usize = 16;
/// Of all at a time.
const MOST: usize = 256;
/// Pieces of input that wait for the program.
const INPUT_QUEUE: usize = 64;

/// All terminals.
#[derive(Debug, Default)]
pub struct Terminals(Mutex<HashMap<TerminalId, Arc<Shell>>>);

/// A terminal that the engine has opened.
pub(crate) struct Opened {
    pub(crate) id: TerminalId,
    pub(crate) engine: Arc<Engine>,
    pub(crate) container: String,
    pub(crate) container_name: String,
    pub(crate) caller: Caller,
    pub(crate) command: Vec<String>,
    pub(crate) user: String,
    /// The exec's id; none for the container's own terminal.
    pub(crate) exec: Option<String>,
    /// What can run the script that ends it.
    pub(crate) shell: Option<&'static str>,
    pub(crate) output: Output,
    pub(crate) input: Input,
}

/// What goes to the program.
#[derive(Debug)]
pub(super) enum ToProgram {
    Input(Vec<u8>),
    Size { columns: u16, rows: u16 },
}

/// One terminal, as everybody who deals with it shares it.
#[derive(Debug)]
pub(crate) struct Shell {
    pub(super) id: TerminalId,
    pub(super) engine: EngineName,
    pub(super) container: String,
    container_name: String,
    pub(super) owner: String,
    command: Vec<String>,
    user: String,
    attach: bool,
    created_at: Timestamp,
    state: Mutex<State>,
    /// Something changed.
    pub(super) stirred: Notify,
    pub(super) to_program: mpsc::Sender<ToProgram>,
    /// Ends it.
    pub(super) over: CancellationToken,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) ring: Ring,
    /// What the client has read.
    pub(super) read: u64,
    /// Number of the connection that counts; older ones have been replaced.
    pub(super) connection: u64,
    pub(super) connected: bool,
    /// When the last connection ended.
    pub(super) left_at: Instant,
    /// It has ended.
    pub(super) ended: Option<Ending>,
    /// It was ended because the sign-in ended.
    pub(super) signed_out: bool,
    /// The sign-in by which it is used.
    pub(super) caller: Caller,
}

/// How a terminal's program ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    /// None: the engine does not know.
    pub(super) exit_code: Option<i64>,
}

/// Nobody may have so many.
#[derive(Debug)]
pub(crate) struct TooMany;

impl Terminals {
    /// Takes a terminal in and keeps it going.
    pub(crate) fn take(&self, state: &AppState, opened: Opened) -> Arc<Shell> {
        let (to_program, input_queue) = mpsc::channel(INPUT_QUEUE);
        let shell = Arc::new(Shell {
            id: opened.id,
            engine: opened.engine.name.clone(),
            container: opened.container,
            container_name: opened.container_name,
            owner: opened.caller.user().to_owned(),
            command: opened.command,
            user: opened.user.clone(),
            attach: opened.exec.is_none(),
            created_at: Timestamp::now(),
            state: Mutex::new(State {
                ring: Ring::default(),
                read: 0,
                connection: 0,
                connected: false,
                left_at: Instant::now(),
                ended: None,
                signed_out: false,
                caller: opened.caller,
            }),
            stirred: Notify::new(),
            to_program,
            over: state.stop.child_token(),
        });
        self.lock().insert(shell.id.clone(), Arc::clone(&shell));
        let program = pump::Program {
            engine: opened.engine,
            exec: opened.exec,
            user: opened.user,
            shell: opened.shell,
            output: opened.output,
            input: opened.input,
            input_queue,
        };
        state
            .tasks
            .spawn(pump::run(state.clone(), Arc::clone(&shell), program));
        shell
    }

    /// Tells whether one more is possible.
    pub(crate) fn has_room(&self, owner: &str) -> Result<(), TooMany> {
        let all = self.lock();
        let running = || all.values().filter(|one| one.lock().ended.is_none());
        let own = running().filter(|one| one.owner == owner).count();
        if own >= MOST_OF_ONE || running().count() >= MOST {
            return Err(TooMany);
        }
        Ok(())
    }

    /// The one of this id.
    pub(crate) fn get(&self, id: &TerminalId) -> Option<Arc<Shell>> {
        self.lock().get(id).cloned()
    }

    /// All of them, the oldest first.
    pub(crate) fn list(&self) -> Vec<Terminal> {
        let mut all: Vec<Terminal> = self.lock().values().map(|one| one.told()).collect();
        all.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        all
    }

    /// Takes it from the list.
    pub(crate) fn forget(&self, id: &TerminalId) {
        self.lock().remove(id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TerminalId, Arc<Shell>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shell {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose it is.
    pub(crate) fn owner(&self) -> &str {
        &self.owner
    }

    /// Ends it with everything that runs in it.
    pub(crate) fn end(&self) {
        self.over.cancel();
    }

    /// Gives it a size.
    pub(crate) async fn resize(&self, columns: u16, rows: u16) {
        // Without a program nobody cares for its size.
        drop(
            self.to_program
                .send(ToProgram::Size { columns, rows })
                .await,
        );
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(&self) {
        loop {
            let stirred = self.stirred.notified();
            let mut stirred = std::pin::pin!(stirred);
            stirred.as_mut().enable();
            if self.lock().ended.is_some() {
                return;
            }
            stirred.await;
        }
    }

    /// Where it is, for the audit log.
    pub(crate) fn place(&self) -> String {
        format!(
            "/engines/{}/containers/{}/terminals/{}",
            self.engine, self.container, self.id
        )
    }

    /// As a client sees it.
    pub(crate) fn told(&self) -> Terminal {
        let state = self.lock();
        Terminal {
            id: self.id.clone(),
            engine: self.engine.clone(),
            container: self.container.clone(),
            container_name: self.container_name.clone(),
            owner: self.owner.clone(),
            command: self.command.clone(),
            user: self.user.clone(),
            attach: self.attach,
            state: if state.ended.is_some() {
                TerminalState::Ended
            } else {
                TerminalState::Running
            },
            exit_code: state.ended.and_then(|ending| ending.exit_code),
            created_at: self.created_at,
            connected: state.connected,
            written_bytes: state.ring.end(),
            kept_s: KEPT_FOR.as_secs(),
        }
    }
}
