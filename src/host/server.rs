use std::{
    os::fd::RawFd,
    pin::Pin,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use pingora_core::{
    server::{ListenFds, RunArgs, Server, ShutdownWatch, configuration::ServerConf},
    services,
};

use super::{
    stop::{Ending, Watched},
    successor,
};

/// A part of the gateway with a thread and a runtime of its own.
pub struct Service {
    /// For thread names.
    pub name: &'static str,
    /// The sockets that its task listens on, to be handed over to a new binary.
    pub sockets: Vec<Socket>,
    /// What it does. Taken when the service starts.
    pub task: Mutex<Option<Task>>,
}

/// The work of a service.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A bound socket under the address that the configuration gives it. Whoever accepts on it owns it,
/// so that it closes when the drain begins and new clients aren't left waiting in its backlog.
#[derive(Clone)]
pub struct Socket {
    /// The configured address.
    pub address: String,
    /// The descriptor.
    pub descriptor: RawFd,
}

/// Runs services until their end, and returns.
pub fn run(services: Vec<Service>, ending: Ending) {
    successor::remember_program();
    // Without work stealing a service of one thread gets the plain single-threaded runtime.
    let conf = ServerConf { threads: 1, work_stealing: false, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    for service in services {
        server.add_service(service);
    }
    server.run(RunArgs { shutdown_signal: Box::new(Watched::from(ending)) });
}

#[async_trait]
impl services::Service for Service {
    async fn start_service(
        &mut self,
        fds: Option<ListenFds>,
        _shutdown: ShutdownWatch,
        _listeners_per_fd: usize,
    ) {
        if let Some(fds) = fds {
            let mut table = fds.lock();
            for socket in &self.sockets {
                table.add(socket.address.clone(), socket.descriptor);
            }
        }
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            task.await;
        }
    }

    fn name(&self) -> &str {
        self.name
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }

    fn listen_addresses(&self) -> Option<Vec<String>> {
        Some(self.sockets.iter().map(|socket| socket.address.clone()).collect())
    }
}
