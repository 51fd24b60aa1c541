use std::{cell::Cell, rc::Rc};

use tokio::{
    task::{LocalSet, spawn_local},
    time::sleep,
};

use super::*;

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], 3000))
}

/// How long the name service of these tests takes.
const SLOW: Duration = Duration::from_secs(2);

/// The timers' grain, and some.
const MOMENT: Duration = Duration::from_millis(5);

/// A name service: each question takes [`SLOW`], and is answered from a script whose last line
/// stays true.
#[derive(Clone)]
struct Service {
    asked: Rc<Cell<usize>>,
    script: Rc<[Vec<SocketAddr>]>,
}

impl Service {
    fn new(script: &[&[u8]]) -> Self {
        let addresses = |lasts: &&[u8]| lasts.iter().copied().map(address).collect();
        Self { asked: Rc::default(), script: script.iter().map(addresses).collect() }
    }

    async fn answer(self) -> io::Result<Vec<SocketAddr>> {
        let turn = self.asked.replace(self.asked.get() + 1);
        sleep(SLOW).await;
        let found = self.script[turn.min(self.script.len() - 1)].clone();
        if found.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(found) }
    }

    fn asked(&self) -> usize {
        self.asked.get()
    }
}

/// Runs a test beside the task that asks.
async fn with<F: Future<Output = ()>>(service: &Service, test: impl FnOnce(Rc<Names>) -> F) {
    let names = Rc::new(Names::new("name.test", 3000));
    let local = LocalSet::new();
    let (asking, service) = (Rc::clone(&names), service.clone());
    local.spawn_local(async move { asking.keep_asking(|| service.clone().answer()).await });
    local.run_until(test(names)).await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_requests_shares_one_look_up() {
    let service = Service::new(&[&[1]]);
    with(&service, async |names| {
        let requests: Vec<_> = (0..1000)
            .map(|_| Rc::clone(&names))
            .map(|names| spawn_local(async move { names.addresses().await }))
            .collect();
        for request in requests {
            assert_eq!(request.await.unwrap(), [address(1)]);
        }
        assert_eq!(service.asked(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_look_up_is_remembered_for_a_second() {
    let service = Service::new(&[&[], &[1]]);
    with(&service, async |names| {
        assert_eq!(names.addresses().await, []);
        let failed = Instant::now();
        sleep(RETRY - Duration::from_millis(1)).await;
        for _ in 0..1000 {
            assert_eq!(names.addresses().await, []);
        }
        assert_eq!(service.asked(), 1);
        sleep(Duration::from_millis(1)).await;
        assert_eq!(names.addresses().await, [address(1)]);
        assert!(failed.elapsed() < RETRY + SLOW + MOMENT);
        assert_eq!(service.asked(), 2);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn names_are_asked_for_again_every_30_seconds() {
    let service = Service::new(&[&[1], &[2]]);
    with(&service, async |names| {
        assert_eq!(names.addresses().await, [address(1)]);
        sleep(REFRESH - Duration::from_millis(1)).await;
        assert_eq!(service.asked(), 1);
        sleep(SLOW + MOMENT).await;
        assert_eq!((service.asked(), names.addresses().await), (2, vec![address(2)]));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn names_are_asked_for_again_on_failure_and_at_most_once_a_second() {
    let service = Service::new(&[&[1], &[2]]);
    with(&service, async |names| {
        assert_eq!(names.addresses().await, [address(1)]);
        for _ in 0..1000 {
            names.failed();
        }
        sleep(RETRY - Duration::from_millis(1)).await;
        assert_eq!(service.asked(), 1);
        sleep(SLOW + MOMENT).await;
        assert_eq!((service.asked(), names.addresses().await), (2, vec![address(2)]));
        sleep(REFRESH - SLOW).await;
        assert_eq!(service.asked(), 2, "a thousand failures asked once");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_goes_on_being_used_while_the_service_is_down() {
    let service = Service::new(&[&[1], &[]]);
    with(&service, async |names| {
        assert_eq!(names.addresses().await, [address(1)]);
        sleep(10 * REFRESH).await;
        assert!(service.asked() > 5);
        assert_eq!(names.addresses().await, [address(1)]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_address_that_answered_for_another_is_begun_with_as_long_as_it_has_the_name() {
    let service = Service::new(&[&[1, 2, 3], &[3, 1, 2], &[1, 3]]);
    with(&service, async |names| {
        let all = |lasts: [u8; 3]| lasts.map(address);
        names.addresses().await;
        names.answered(address(1));
        assert_eq!(names.addresses().await, all([1, 2, 3]));
        sleep(REFRESH + SLOW + MOMENT).await;
        assert_eq!(names.addresses().await, all([3, 1, 2]), "the name service goes on choosing");
        names.answered(address(2));
        assert_eq!(names.addresses().await, all([2, 3, 1]));
        sleep(REFRESH + SLOW + MOMENT).await;
        assert_eq!(names.addresses().await, [address(1), address(3)]);
        names.answered(address(3));
        names.answered(address(1));
        assert_eq!(names.addresses().await, [address(1), address(3)]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_address_needs_no_name_service() {
    for host in ["192.0.2.1", "2001:db8::1"] {
        let names = Names::new(host, 3000);
        assert_eq!(names.addresses().await, [SocketAddr::new(host.parse().unwrap(), 3000)]);
    }
}
