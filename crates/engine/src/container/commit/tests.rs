use super::{
    super::{
        archive::ExtractOptions,
        engine_fixture::{Fixture, fixture, tar_of},
    },
    *,
};
use crate::layer::Access;

impl Fixture {
    fn put(&self, path: &str, files: &[(&str, &str)]) {
        let record = self.container.record();
        let files_of = self
            .engine
            .container_files(&self.container, Access::Write)
            .unwrap();
        let archive = tar_of(files);
        let plain = ExtractOptions::default();
        files_of
            .extract(("box", path), &record, plain, archive.as_slice())
            .unwrap();
    }

    fn commit(&self, request: CommitRequest) -> Result<Arc<Image>> {
        let work = commit(
            Arc::clone(&self.engine),
            Arc::clone(&self.container),
            request,
        );
        self.runtime.block_on(work)
    }
}

#[test]
fn kernel_an_image_has_the_changes_and_the_configuration() {
    let box_ = fixture(|record| {
        record.config.cmd = Some(vec!["sleep".into(), "1".into()]);
        record.config.env = Some(vec!["A=1".into()]);
        record.config.labels = Some([("keep".to_owned(), "it".to_owned())].into());
    });
    let parent = box_.engine.images.list()[0].clone();
    box_.put("/tmp", &[("new", "content"), ("old", "changed")]);
    box_.put("/data", &[("in-volume", "x")]);
    let image = box_
        .commit(CommitRequest {
            changes: vec!["ENV B=2".into(), "USER web".into(), "EXPOSE 80".into()],
            comment: "what for".into(),
            author: "who".into(),
            pause: true,
            reference: Some("made/it:v1".parse().unwrap()),
            ..CommitRequest::default()
        })
        .unwrap();
    assert_eq!(image.repo_tags, ["made/it:v1"]);
    assert_eq!(image.layers.len(), parent.layers.len() + 1);
    assert_eq!(image.layers[..parent.layers.len()], parent.layers);
    let config = &image.config;
    assert_eq!(config.config.env, ["A=1", "B=2"]);
    assert_eq!(config.config.cmd, ["sleep", "1"]);
    assert_eq!(config.config.user, "web");
    assert_eq!(config.config.labels["keep"], "it");
    assert_eq!(config.architecture, parent.config.architecture);
    let step = config.history.last().unwrap();
    assert_eq!(
        (
            step.created_by.as_str(),
            step.comment.as_str(),
            step.author.as_str()
        ),
        ("sleep 1", "what for", "who")
    );
    assert_eq!(config.history.len(), parent.config.history.len() + 1);

    // A container of it has the files; not those of the volume.
    let id = crate::id::generate().unwrap();
    let snapshots = box_.engine.images.snapshots();
    snapshots.prepare(&id, &image).unwrap();
    let root = box_.dir.path().join("mounted");
    snapshots.mount(&id, &root).unwrap();
    assert_eq!(std::fs::read(root.join("tmp/new")).unwrap(), b"content");
    assert_eq!(std::fs::read(root.join("tmp/old")).unwrap(), b"changed");
    assert!(!root.join("data/in-volume").exists());
    assert_eq!(
        std::fs::read(root.join("etc/hosts")).unwrap_or_default(),
        b""
    );
    snapshots.unmount(&root).unwrap();
}

#[test]
fn kernel_the_same_changes_are_the_same_layer() {
    let box_ = fixture(|_record| {});
    box_.put("/tmp", &[("new", "content")]);
    let one = box_.commit(CommitRequest::default()).unwrap();
    let two = box_.commit(CommitRequest::default()).unwrap();
    assert_eq!(one.layers, two.layers);
    box_.put("/tmp", &[("more", "content")]);
    let three = box_.commit(CommitRequest::default()).unwrap();
    assert_ne!(one.layers, three.layers);
}

#[test]
fn kernel_without_changes_there_is_no_layer() {
    let box_ = fixture(|_record| {});
    let parent = box_.engine.images.list()[0].clone();
    let image = box_.commit(CommitRequest::default()).unwrap();
    assert_eq!(image.layers, parent.layers);
    assert!(image.config.history.last().unwrap().empty_layer);
}

#[test]
fn kernel_a_change_that_is_none_makes_no_image() {
    let box_ = fixture(|_record| {});
    let before = box_.engine.images.list().len();
    let request = CommitRequest {
        changes: vec!["RUN x".into()],
        ..CommitRequest::default()
    };
    let error = box_.commit(request).unwrap_err();
    assert!(matches!(error, EngineError::Invalid(_)), "{error}");
    assert_eq!(box_.engine.images.list().len(), before);
}

#[test]
fn a_configuration_given_goes_before_the_containers() {
    let given = ContainerConfig {
        cmd: Some(vec!["given".into()]),
        env: Some(vec!["A=given".into()]),
        ..ContainerConfig::default()
    };
    let own = ContainerConfig {
        cmd: Some(vec!["own".into()]),
        env: Some(vec!["A=own".into(), "B=own".into()]),
        exposed_ports: Some(vec!["80/tcp".into()]),
        ..ContainerConfig::default()
    };
    let mut merged = defaults(&given);
    merged.merge(&defaults(&own));
    assert_eq!(merged.cmd, ["given"]);
    assert_eq!(merged.env, ["A=given", "B=own"]);
    assert!(merged.exposed_ports.contains_key("80/tcp"));
}
