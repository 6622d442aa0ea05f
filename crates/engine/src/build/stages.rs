//! The instructions of a Dockerfile, one after the other.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};

use super::{
    BuildFailure, BuildRequest,
    area::Area,
    copy::{self, CopyRequest, Origin, Source},
    dockerfile::{Dockerfile, Flag, Heredoc, Instruction},
    download,
    mounts::{self, RunMount},
    run::{self, Command, Keeping},
    variables::Variables,
};
use crate::{
    blocking,
    engine::Engine,
    error::Result,
    image::{
        CommitSource, Credentials, Defaults, DeriveSource, Digest, Image, InstructionsDone,
        Platform, Progress, Pull, Reference, Words, apply_instruction, command_of,
        working_directory,
    },
};

/// Changes when the same instruction would be done in another way, so that what was built before is not taken for it.
const CACHE_VERSION: &str = "1";
/// The image that is none.
const SCRATCH: &str = "scratch";

type Done<T = ()> = Result<T, BuildFailure>;

fn fail<T>(message: impl Into<String>) -> Done<T> {
    Err(BuildFailure::new(message))
}

/// A build on its way.
pub(super) struct Builder<'a> {
    engine: &'a Arc<Engine>,
    request: &'a BuildRequest,
    area: Arc<Area>,
    progress: &'a Progress,
    escape: char,
    instructions: Vec<Instruction>,
    platform: Platform,
    variables: Variables,
    /// Stages that are done, and the one that is built last.
    stages: Vec<Stage>,
}

/// A stage: the image so far, and what the next one will say of itself.
#[derive(Clone)]
struct Stage {
    name: Option<String>,
    image: Arc<Image>,
    config: Defaults,
    author: String,
    done: InstructionsDone,
}

/// How one step makes its image.
enum Step {
    /// Of another configuration alone.
    Config,
    /// Of files that are copied.
    Copy(copy::Packed, CopyRequest),
    /// Of a directory that is made.
    Directory(String),
    /// Of what a command changes.
    Run(Command, Vec<mounts::Cache>),
}

impl<'a> Builder<'a> {
    /// Prepares a build.
    ///
    /// # Errors
    /// When the Dockerfile does not begin as one must, or has no such target.
    pub(super) fn new(
        engine: &'a Arc<Engine>,
        request: &'a BuildRequest,
        area: Arc<Area>,
        progress: &'a Progress,
        file: Dockerfile,
    ) -> Done<Self> {
        let host = Platform::host();
        let platform = request.platform.clone().unwrap_or_else(Platform::host);
        if !platform.takes(&host) {
            return fail(format!(
                "platform {platform}: this builder builds for its own platform alone, {host}"
            ));
        }
        let mut instructions = file.instructions;
        match instructions.iter().find(|one| one.name != "ARG") {
            Some(first) if first.name == "FROM" => {}
            Some(_) => {
                return fail(
                    "no build stage in current context: the first instruction must be FROM (or ARG)",
                );
            }
            None => return fail("no build stage in current context: there is no FROM"),
        }
        cut_behind_target(&mut instructions, request.target.as_deref())?;
        if !request.labels.is_empty() {
            instructions.push(labels(&request.labels));
        }
        Ok(Self {
            engine,
            request,
            area,
            progress,
            escape: file.escape,
            instructions,
            variables: Variables::new(&request.arguments, &platform),
            platform,
            stages: Vec::new(),
        })
    }

    /// Does all instructions; the last stage's image.
    ///
    /// # Errors
    /// The instruction that failed, and why.
    pub(super) async fn run(mut self) -> Done<Arc<Image>> {
        let instructions = std::mem::take(&mut self.instructions);
        let total = instructions.len();
        for (index, one) in instructions.iter().enumerate() {
            self.say(format!("Step {}/{total} : {}\n", index + 1, one.original));
            self.instruction(one)
                .await
                .map_err(|failure| BuildFailure {
                    message: if failure.code.is_some() {
                        failure.message
                    } else {
                        format!("{} (Dockerfile line {})", failure.message, one.line)
                    },
                    code: failure.code,
                })?;
        }
        let unused = self.variables.unused();
        if !unused.is_empty() {
            self.say(format!(
                "[Warning] One or more build-args [{}] were not consumed\n",
                unused.join(" ")
            ));
        }
        match self.stages.pop() {
            Some(stage) => Ok(stage.image),
            None => fail("No image was generated. Is your Dockerfile empty?"),
        }
    }

    fn say(&self, text: String) {
        if !self.request.quiet {
            self.progress.text(text);
        }
    }

    async fn instruction(&mut self, one: &Instruction) -> Done {
        match one.name.as_str() {
            "FROM" => self.from(one).await,
            "ARG" => self.arg(one),
            "COPY" | "ADD" => self.copy(one).await,
            "RUN" => self.run_command(one).await,
            "WORKDIR" => self.workdir(one).await,
            "MAINTAINER" => {
                let stage = self.stage()?;
                stage.author.clone_from(&one.rest);
                let created_by = format!("/bin/sh -c #(nop)  {}", one.original);
                let key = json!(["MAINTAINER", one.rest]);
                self.step(key, created_by, Step::Config).await
            }
            _ => self.configure(one).await,
        }
    }

    fn stage(&mut self) -> Done<&mut Stage> {
        self.stages
            .last_mut()
            .ok_or_else(|| BuildFailure::new("no build stage in current context"))
    }

    /// The words of an instruction, with the variables of its stage.
    fn words(&self) -> Words {
        let env = self
            .stages
            .last()
            .map_or(&[][..], |stage| &stage.config.env);
        Words::new(env.iter().chain(&self.variables.of_stage()), self.escape)
    }

    async fn from(&mut self, one: &Instruction) -> Done {
        let words = Words::new(&self.variables.of_from(), self.escape);
        for flag in &one.flags {
            match (flag.name.as_str(), &flag.value) {
                ("platform", Some(platform)) => {
                    let text = words.expand(platform).map_err(BuildFailure::new)?;
                    let asked = Platform::parse(&text)?;
                    if !asked.takes(&Platform::host()) {
                        return fail(format!(
                            "FROM --platform={text}: this builder builds for its own platform alone, {}",
                            Platform::host()
                        ));
                    }
                }
                _ => return unknown_flag(flag),
            }
        }
        let parts = words.split(&one.rest).map_err(BuildFailure::new)?;
        let (base, name) = match parts.as_slice() {
            [base] => (base, None),
            [base, word, name] if word.eq_ignore_ascii_case("as") => {
                (base, Some(name.to_ascii_lowercase()))
            }
            _ => return fail("FROM requires either one or three arguments"),
        };
        if base.is_empty() {
            return fail(format!("base name ({}) should not be blank", one.rest));
        }
        if let Some(name) = &name
            && !is_stage_name(name)
        {
            return fail(format!(
                "invalid name for build stage: {name:?}, name can't start with a number or contain symbols"
            ));
        }
        self.variables.next_stage();
        if base == SCRATCH {
            let image = self.scratch().await?;
            self.begin(name, image);
            self.say(" ---> \n".to_owned());
            return Ok(());
        }
        let image = match self.stage_image(base) {
            Some(image) => image,
            None => self.base(base).await?,
        };
        self.say(format!(" ---> {}\n", image.id.short()));
        let triggers = image.config.config.on_build.clone();
        self.begin(name, image);
        self.triggers(triggers).await
    }

    fn begin(&mut self, name: Option<String>, image: Arc<Image>) {
        let mut config = image.config.config.clone();
        config.on_build.clear();
        if !config.env.iter().any(|entry| entry.starts_with("PATH=")) {
            config.env.push(format!("PATH={DEFAULT_PATH}"));
        }
        self.stages.push(Stage {
            name,
            config,
            author: image.config.author.clone(),
            done: InstructionsDone::default(),
            image,
        });
    }

    /// What the image asks to be done when it is built on.
    async fn triggers(&mut self, triggers: Vec<String>) -> Done {
        match triggers.len() {
            0 => return Ok(()),
            1 => self.say("# Executing 1 build trigger\n".to_owned()),
            many => self.say(format!("# Executing {many} build triggers\n")),
        }
        for trigger in triggers {
            let one = Dockerfile::parse_one(&trigger)
                .map_err(|why| BuildFailure::new(format!("build trigger {trigger:?}: {why}")))?;
            if matches!(one.name.as_str(), "FROM" | "ONBUILD" | "MAINTAINER") {
                return fail(format!("{} isn't allowed as an ONBUILD trigger", one.name));
            }
            Box::pin(self.instruction(&one)).await?;
        }
        Ok(())
    }

    /// An image without anything, which what is built from nothing begins with.
    async fn scratch(&self) -> Done<Arc<Image>> {
        let key = key(&json!([SCRATCH, self.platform.to_string()]));
        if let Some(image) = self.engine.images.built(None, &key) {
            return Ok(image);
        }
        let source = DeriveSource {
            parent: None,
            config: Defaults::default(),
            created_by: String::new(),
            author: String::new(),
            step: key,
            platform: self.platform.clone(),
        };
        let engine = Arc::clone(self.engine);
        Ok(blocking::run(move || engine.images.derive(source)).await?)
    }

    /// The image of an earlier stage, by its name or number.
    fn stage_image(&self, name: &str) -> Option<Arc<Image>> {
        let wanted = name.to_ascii_lowercase();
        let found = self
            .stages
            .iter()
            .find(|stage| stage.name.as_ref() == Some(&wanted));
        found.map(|stage| Arc::clone(&stage.image))
    }

    /// An image of this engine, or of a registry.
    async fn base(&self, name: &str) -> Done<Arc<Image>> {
        if !self.request.pull
            && let Ok(image) = self.engine.images.resolve(name)
        {
            let has = Platform {
                os: image.config.os.clone(),
                architecture: image.config.architecture.clone(),
                variant: image.config.variant.clone(),
            };
            if Platform::host().takes(&has) || has.architecture.is_empty() {
                return Ok(image);
            }
            return fail(format!(
                "image {name} is for {has}; this builder builds for {}",
                Platform::host()
            ));
        }
        let reference: Reference = name.parse().map_err(|error| {
            BuildFailure::new(format!("failed to parse image name {name:?}: {error}"))
        })?;
        let credentials = self
            .request
            .credentials
            .iter()
            .find(|(registry, _)| registry_host(registry) == registry_host(reference.domain()))
            .map_or_else(Credentials::default, |(_, found)| found.clone());
        let pull = Pull::begin(
            Arc::clone(&self.engine.images),
            reference,
            None,
            credentials,
        )
        .await?;
        let quiet = Progress::default();
        let told = if self.request.quiet {
            &quiet
        } else {
            self.progress
        };
        Ok(pull.finish(told).await?)
    }

    fn arg(&mut self, one: &Instruction) -> Done {
        let in_stage = !self.stages.is_empty();
        let words = if in_stage {
            self.words()
        } else {
            Words::new(&self.variables.of_from(), self.escape)
        };
        for word in words.split_raw(&one.rest).map_err(BuildFailure::new)? {
            let (name, default) = match word.split_once('=') {
                Some((name, value)) => {
                    let value = words.expand(value).map_err(BuildFailure::new)?;
                    (name, Some(value))
                }
                None => (word.as_str(), None),
            };
            let name = words.expand(name).map_err(BuildFailure::new)?;
            if name.is_empty() {
                return fail("ARG names can not be blank");
            }
            if in_stage {
                self.variables.declare(&name, default);
            } else {
                self.variables.declare_global(&name, default);
            }
        }
        if let Some(stage) = self.stages.last() {
            self.say(format!(" ---> {}\n", stage.image.id.short()));
        }
        Ok(())
    }

    /// An instruction that changes the configuration alone.
    async fn configure(&mut self, one: &Instruction) -> Done {
        let words = self.words();
        let stage = self.stage()?;
        apply_instruction(
            &mut stage.config,
            &mut stage.done,
            (&one.name, &one.rest),
            &words,
        )
        .map_err(BuildFailure::new)?;
        let config = serde_json::to_value(&stage.config)
            .map_err(|error| BuildFailure::new(error.to_string()))?;
        let created_by = format!("/bin/sh -c #(nop)  {}", one.original);
        self.step(json!([one.name, config]), created_by, Step::Config)
            .await
    }

    async fn workdir(&mut self, one: &Instruction) -> Done {
        let words = self.words();
        let stage = self.stage()?;
        apply_instruction(
            &mut stage.config,
            &mut stage.done,
            (&one.name, &one.rest),
            &words,
        )
        .map_err(BuildFailure::new)?;
        let path = stage.config.working_dir.clone();
        let created_by = format!("/bin/sh -c #(nop) WORKDIR {path}");
        self.step(json!(["WORKDIR", path]), created_by, Step::Directory(path))
            .await
    }

    async fn copy(&mut self, one: &Instruction) -> Done {
        let words = self.words();
        let stage = self.stage()?;
        let (image, directory) = (Arc::clone(&stage.image), stage.config.working_dir.clone());
        let mut parts = match serde_json::from_str::<Vec<String>>(&one.rest) {
            Ok(parts) => parts,
            Err(_) => words.split_raw(&one.rest).map_err(BuildFailure::new)?,
        };
        let destination = parts.pop().filter(|_| !parts.is_empty());
        let Some(destination) = destination else {
            return fail(format!(
                "{} requires at least two arguments, but only one was provided",
                one.name
            ));
        };
        let destination = words.expand(&destination).map_err(BuildFailure::new)?;
        let mut request = CopyRequest {
            name: one.name.clone(),
            sources: Vec::new(),
            destination: absolute(&directory, &destination),
            owner: None,
            keep_owner: false,
            mode: None,
            extract: one.name == "ADD",
        };
        let (mut from, mut checksum) = (None, None);
        for flag in &one.flags {
            let value = flag
                .value
                .as_deref()
                .map(|value| words.expand(value))
                .transpose();
            let value = value.map_err(BuildFailure::new)?;
            match (flag.name.as_str(), value) {
                ("from", Some(name)) if one.name == "COPY" => from = Some(name),
                ("chown", Some(owner)) => request.owner = Some(owner),
                ("chmod", Some(mode)) => {
                    let mode = u32::from_str_radix(&mode, 8)
                        .ok()
                        .filter(|mode| *mode <= 0o7777);
                    request.mode = Some(mode.ok_or_else(|| {
                        BuildFailure::new(
                            "invalid chmod parameter: it should be octal, between 0 and 07777",
                        )
                    })?);
                }
                // Every step is a layer of its own already.
                ("link", None) => {}
                ("link", Some(value)) if matches!(value.as_str(), "true" | "false") => {}
                ("checksum", Some(digest)) if one.name == "ADD" => {
                    let digest: Digest = digest.parse().map_err(|_malformed| {
                        BuildFailure::new(format!("invalid checksum {digest:?}"))
                    })?;
                    checksum = Some(digest);
                }
                _ => return unknown_flag(flag),
            }
        }
        for part in parts {
            if let Some(document) = one.heredocs.iter().find(|document| document.word == part) {
                request.sources.push(inline(document, &words)?);
                continue;
            }
            let part = words.expand(&part).map_err(BuildFailure::new)?;
            if one.name == "ADD" && download::is_repository(&part) {
                return fail(format!("ADD {part}: this builder does not fetch from git"));
            } else if one.name == "ADD" && download::is_address(&part) {
                let fetched = download::file(
                    self.engine,
                    &self.area,
                    &part,
                    &request.destination,
                    checksum.as_ref(),
                );
                request.sources.push(fetched.await?);
            } else {
                request.sources.push(Source::Path(part));
            }
        }
        request.keep_owner = from.is_some();
        let (origin, origin_id) = match &from {
            None => (None, String::new()),
            Some(name) => {
                let image = self.image_of(name).await?;
                (Some(Arc::clone(&image)), image.id.to_string())
            }
        };
        let (area, wanted) = (Arc::clone(&self.area), request.clone());
        let packed = blocking::run(move || {
            area.with_files(&image, |files| match &origin {
                None => copy::pack(&area, &Origin::Context(area.context()), &wanted, files),
                Some(origin) => area.with_files(origin, |origin| {
                    copy::pack(&area, &Origin::Image(origin), &wanted, files)
                }),
            })
        })
        .await?;
        let from = from
            .map(|name| format!("--from={name} "))
            .unwrap_or_default();
        let created_by = format!(
            "/bin/sh -c #(nop) {} {}:{} {from}in {destination} ",
            one.name,
            packed.kind,
            packed.digest.hex()
        );
        let key = json!([
            one.name,
            packed.digest,
            request.destination,
            request.owner,
            request.mode,
            origin_id
        ]);
        self.step(key, created_by, Step::Copy(packed, request))
            .await
    }

    /// The image that `--from` means: a stage by name or number, or an image.
    async fn image_of(&self, name: &str) -> Done<Arc<Image>> {
        // The stage that is being built is not done.
        let earlier = self.stages.len().saturating_sub(1);
        if let Ok(number) = name.parse::<usize>() {
            return match self.stages[..earlier].get(number) {
                Some(stage) => Ok(Arc::clone(&stage.image)),
                None => fail(format!(
                    "invalid from flag value {name}: invalid stage index {number}: must be less than {earlier}"
                )),
            };
        }
        let wanted = name.to_ascii_lowercase();
        let found = self.stages[..earlier]
            .iter()
            .find(|stage| stage.name.as_ref() == Some(&wanted));
        match found {
            Some(stage) => Ok(Arc::clone(&stage.image)),
            None => self.base(name).await,
        }
    }

    async fn run_command(&mut self, one: &Instruction) -> Done {
        let words = self.words();
        let config = self.stage()?.config.clone();
        let mut host_config = self.request.host_config.clone();
        let mut asked = Vec::new();
        for flag in &one.flags {
            let value = flag
                .value
                .as_deref()
                .map(|value| words.expand(value))
                .transpose();
            match (flag.name.as_str(), value.map_err(BuildFailure::new)?) {
                ("mount", Some(text)) => {
                    asked.push(
                        RunMount::parse(&text, &config.working_dir).map_err(BuildFailure::new)?,
                    );
                }
                ("network", Some(network)) => match network.as_str() {
                    "default" => {}
                    "none" | "host" => {
                        host_config.insert("NetworkMode".to_owned(), network.into());
                    }
                    _ => {
                        return fail(format!(
                            "invalid network mode {network:?}: it is default, none or host"
                        ));
                    }
                },
                ("security", Some(mode)) if mode == "sandbox" => {}
                ("security", Some(_)) => {
                    return fail(
                        "RUN --security=insecure: this builder gives no command more than a container's rights",
                    );
                }
                _ => return unknown_flag(flag),
            }
        }
        let (mut mounts, caches, mut mount_keys) = self.mounts(&asked).await?;
        let command = match script(one) {
            Some(document) => {
                // With an interpreter of its own it must be a file.
                let target = format!("/dev/pipes/{}", document.name);
                let path = self.area.put_script(&document.content)?;
                mounts.push(json!({
                    "Type": "bind", "Source": path.to_string_lossy(), "Target": target, "ReadOnly": true,
                }));
                mount_keys.push(json!(["script", document.content]));
                vec![target]
            }
            None => run_words(one, &config.shell),
        };
        let arguments = self.variables.of_command(&config.env);
        let mut env = arguments.clone();
        env.extend(self.variables.secret());
        let shown = command.join(" ");
        let created_by = if arguments.is_empty() {
            shown
        } else {
            format!("|{} {} {shown}", arguments.len(), arguments.join(" "))
        };
        let key = json!([
            "RUN",
            command,
            arguments,
            mount_keys,
            host_config.get("NetworkMode")
        ]);
        let command = Command {
            words: command,
            env,
            mounts,
            host_config,
        };
        self.step(key, created_by, Step::Run(command, caches)).await
    }

    /// Makes ready what is mounted; with what of it counts for the cache.
    async fn mounts(
        &self,
        asked: &[RunMount],
    ) -> Done<(Vec<Value>, Vec<mounts::Cache>, Vec<Value>)> {
        let (mut made, mut caches, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        for mount in asked {
            match mount {
                RunMount::Bind {
                    target,
                    source,
                    from,
                    writable,
                } => {
                    let (bound, key) = self
                        .bind(target, source, from.as_deref(), *writable)
                        .await?;
                    made.push(bound);
                    keys.push(key);
                }
                RunMount::Cache {
                    target,
                    id,
                    read_only,
                    locked,
                    mode,
                    owner,
                } => {
                    let cache = mounts::cache(self.engine, id, *locked, (*mode, *owner)).await?;
                    made.push(mounts::bind(&cache.dir, "", target, *read_only)?);
                    caches.push(cache);
                    keys.push(json!(["cache", target, id]));
                }
                RunMount::Tmpfs { target, size } => {
                    let options = size.map(|size| json!({ "SizeBytes": size }));
                    made.push(json!({"Type": "tmpfs", "Target": target, "TmpfsOptions": options}));
                    keys.push(json!(["tmpfs", target]));
                }
                RunMount::Secret { id, required: true } => {
                    return fail(format!(
                        "secret {id}: not found: a build over this API brings no secrets along"
                    ));
                }
                RunMount::Secret { .. } => {}
            }
        }
        Ok((made, caches, keys))
    }

    async fn bind(
        &self,
        target: &str,
        source: &str,
        from: Option<&str>,
        writable: bool,
    ) -> Done<(Value, Value)> {
        let image = match from {
            Some(name) => Some(self.image_of(name).await?),
            None => None,
        };
        let area = Arc::clone(&self.area);
        let (target, source) = (target.to_owned(), source.to_owned());
        Ok(blocking::run(move || {
            let (base, key) = match &image {
                Some(image) => (area.mounted(image)?, json!(image.id)),
                None => (area.context(), json!(copy::digest_of(&area, &source)?)),
            };
            // What a command writes is lost: it gets a copy of its own.
            let base = if writable { area.copied(&base)? } else { base };
            let bound = mounts::bind(&base, &source, &target, !writable)?;
            Ok((bound, json!(["bind", target, source, key])))
        })
        .await?)
    }

    /// Does a step that `key` tells from all others on the same image, or takes the image that it made before.
    async fn step(&mut self, key: Value, created_by: String, step: Step) -> Done {
        let key = self::key(&key);
        let (engine, area) = (Arc::clone(self.engine), Arc::clone(&self.area));
        let (request, progress) = (self.request, self.progress);
        let stage = self.stage()?;
        let parent = Arc::clone(&stage.image);
        if !request.no_cache
            && let Some(image) = engine.images.built(Some(&parent.id), &key)
        {
            stage.image = Arc::clone(&image);
            self.say(" ---> Using cache\n".to_owned());
            self.say(format!(" ---> {}\n", image.id.short()));
            return Ok(());
        }
        let source = CommitSource {
            parent: Some(parent.id.clone()),
            config: stage.config.clone(),
            created_by: created_by.clone(),
            author: stage.author.clone(),
            step: Some(key.clone()),
            ..CommitSource::default()
        };
        let derived = DeriveSource {
            parent: Some(parent.id.clone()),
            config: stage.config.clone(),
            created_by,
            author: stage.author.clone(),
            step: key,
            platform: Platform::host(),
        };
        let image = match step {
            Step::Config => blocking::run(move || engine.images.derive(derived)).await?,
            Step::Copy(packed, wanted) => {
                blocking::run(move || {
                    copy::apply(&engine, &area, &parent, &packed, &wanted, source)
                })
                .await?
            }
            Step::Directory(path) => {
                blocking::run(move || copy::make_directory(&engine, &area, &parent, &path, source))
                    .await?
            }
            Step::Run(command, caches) => {
                let keeping = Keeping {
                    done: request.keep_containers,
                    failed: !request.remove_failed,
                };
                let told = (!request.quiet).then_some(progress);
                let made = run::run(&engine, &parent, command, source, (keeping, told)).await;
                drop(caches);
                made?
            }
        };
        self.say(format!(" ---> {}\n", image.id.short()));
        self.stage()?.image = image;
        Ok(())
    }
}

/// What programs are looked for in when an image does not say.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

fn key(value: &Value) -> Digest {
    Digest::of(format!("{CACHE_VERSION}{value}").as_bytes())
}

fn unknown_flag<T>(flag: &Flag) -> Done<T> {
    fail(match &flag.value {
        Some(_) => format!("unknown flag: {}", flag.name),
        None => format!("missing a value on flag, or unknown flag: {}", flag.name),
    })
}

fn is_stage_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.'))
}

/// Docker's clients know its hub by several names.
fn registry_host(name: &str) -> &str {
    let host = name
        .trim_start_matches("https://")
        .trim_start_matches("http://")
        .split('/')
        .next()
        .unwrap_or_default();
    match host {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        other => other,
    }
}

/// Takes away what stands behind the stage that was asked for.
fn cut_behind_target(instructions: &mut Vec<Instruction>, target: Option<&str>) -> Done {
    let Some(target) = target else {
        return Ok(());
    };
    let stages: Vec<usize> = instructions
        .iter()
        .enumerate()
        .filter(|(_, one)| one.name == "FROM")
        .map(|(index, _)| index)
        .collect();
    let named = |index: &usize| {
        let mut parts = instructions[*index].rest.split_whitespace().rev();
        let name = parts.next().unwrap_or_default();
        let has_name = parts
            .next()
            .is_some_and(|word| word.eq_ignore_ascii_case("as"));
        has_name && name.eq_ignore_ascii_case(target)
    };
    let found = stages
        .iter()
        .position(named)
        .or_else(|| target.parse().ok().filter(|number| *number < stages.len()));
    let Some(found) = found else {
        return fail(format!(
            "failed to reach build target {target} in Dockerfile"
        ));
    };
    if let Some(next) = stages.get(found + 1) {
        instructions.truncate(*next);
    }
    Ok(())
}

/// The labels of the request, as one more instruction.
fn labels(labels: &BTreeMap<String, String>) -> Instruction {
    let quoted = |text: &str| {
        // As a shell would quote it: nothing in it is replaced.
        format!("'{}'", text.replace('\'', "'\"'\"'"))
    };
    let pairs: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{}={}", quoted(key), quoted(value)))
        .collect();
    let rest = pairs.join(" ");
    Instruction {
        name: "LABEL".to_owned(),
        original: format!("LABEL {rest}"),
        rest,
        ..Instruction::default()
    }
}

/// A destination below the working directory; a slash at its end stays.
fn absolute(directory: &str, destination: &str) -> String {
    let path = working_directory(directory, destination);
    let is_directory =
        destination.ends_with('/') || destination.ends_with("/.") || destination == ".";
    if is_directory && path != "/" {
        format!("{path}/")
    } else {
        path
    }
}

fn inline(document: &Heredoc, words: &Words) -> Done<Source> {
    let content = if document.expand {
        // Quotes are text here.
        words
            .expand_text(&document.content)
            .map_err(BuildFailure::new)?
    } else {
        document.content.clone()
    };
    Ok(Source::Inline {
        name: document.name.clone(),
        content: content.into_bytes(),
    })
}

/// The document that a command consists of, when it names its own interpreter.
fn script(one: &Instruction) -> Option<&Heredoc> {
    match one.heredocs.as_slice() {
        [only] if one.rest == only.word && only.content.starts_with("#!") => Some(only),
        _ => None,
    }
}

/// The words of a command: in JSON, as a line for the shell, or with documents that the shell reads.
fn run_words(one: &Instruction, shell: &[String]) -> Vec<String> {
    let mut line = match one.heredocs.as_slice() {
        [only] if one.rest == only.word => return command_of(&only.content, shell),
        _ => one.rest.clone(),
    };
    for document in &one.heredocs {
        line.push('\n');
        line.push_str(&document.content);
        line.push_str(&document.name);
    }
    command_of(&line, shell)
}
