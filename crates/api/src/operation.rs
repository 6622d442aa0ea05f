//! The table of routes: what there is, who may call it, what it takes and answers.
//!
//! An entry without a permission does not compile, and the server matches over [`OperationId`] without a wildcard, so an
//! entry without a handler does not compile either.

use serde::{Deserialize, Serialize};

use crate::{
    account::{
        Ended, PasswordChangeRequest, RecoveryCodes, SecondFactor, SessionInfo, TotpBegun,
        TotpEnableRequest,
    },
    alert::{
        Alert, AlertChannel, AlertChannelRequest, AlertChannelUpdate, AlertQuery, AlertRule,
        AlertRuleRequest, AlertTestResult,
    },
    audit::{AuditPage, AuditQuery, AuditVerified},
    auth::{ConfirmRequest, LoginRequest, Me, Role, SessionStatus, SetupRequest},
    capability::Capabilities,
    compare::{CompareRequest, CompareResult, CompareStarted},
    container::{
        BulkRequest, BulkResult, ContainerChanges, ContainerCloneRequest, ContainerCreateRequest,
        ContainerCreated, ContainerDetail, ContainerEditRequest, ContainerPreviewRequest,
        ContainerRemoveRequest, ContainerRevision, ContainerSummary, ContainerUpdateRequest,
        KillRequest, RawInspect, RenameRequest, RestoreRequest, RevealRequest, Revealed,
        StopRequest, Top,
    },
    engine::{DiskUsage, EngineEvent, EngineInfo},
    file::{
        BinaryContent, DirectoryRequest, FileEditRequest, FileEntry, FileListing,
        FilePreviewRequest, FileQuery, FileRemoveRequest, FileRenameRequest, FileText,
        FileUploadQuery, TarArchive, VolumeCloneRequest, VolumeRestoreQuery,
    },
    host::{HostFigures, HostHistory},
    image::{
        BuildDockerfileRequest, BuildQuery, ImageDetail, ImagePreviewRequest, ImagePushRequest,
        ImageRemoveRequest, ImageSummary, ImageTagRequest, PullRequest, UpdateCheck,
        UpdateCheckRequest,
    },
    inside::Inside,
    job::{Job, JobLog},
    live::Items,
    log::{LogDownloadQuery, LogPage, LogQuery},
    network::{
        NetworkConnectRequest, NetworkCreateRequest, NetworkDetail, NetworkDisconnectRequest,
        NetworkPreviewRequest, NetworkRemoveRequest, NetworkSummary, Topology,
    },
    openapi::{ApiDocument, SchemaOf, schema_of},
    page::ListQuery,
    preview::Preview,
    revision::Written,
    stats::{HistoryQuery, StatsHistory},
    stream::StreamQuery,
    system::{PruneRequest, PruneResult, PruneRun},
    terminal::{Terminal, TerminalOpenRequest, TerminalQuery},
    token::{Token, TokenCreateRequest, TokenCreated, TokenListQuery},
    user::{OneTimePassword, User, UserCreateRequest, UserUpdateRequest},
    volume::{
        VolumeCreateRequest, VolumeDetail, VolumePreviewRequest, VolumeRemoveRequest, VolumeSummary,
    },
};

/// Where all paths of [`OPERATIONS`] begin.
pub const BASE_PATH: &str = "/api/v1";

/// Who may call an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Anyone who reaches the server.
    Public,
    /// Who is signed in, whatever the role, about the own account; in person, so not with a token.
    Own,
    /// The same, with the password given in the last ten minutes.
    OwnConfirmed,
    /// Viewers and those above.
    Read,
    /// Operators and administrators.
    Operate,
    /// Administrators.
    Admin,
    /// Administrators in person, with the password given in the last ten minutes.
    AdminConfirmed,
}

impl Permission {
    /// Tells whether someone with `role`, or nobody, may call.
    pub fn allows(self, role: Option<Role>) -> bool {
        match self {
            Self::Public => true,
            Self::Own | Self::OwnConfirmed | Self::Read => role.is_some(),
            Self::Operate => role.is_some_and(|role| role >= Role::Operator),
            Self::Admin | Self::AdminConfirmed => role == Some(Role::Admin),
        }
    }

    /// A token, which anyone may carry, is not enough.
    pub fn in_person(self) -> bool {
        matches!(self, Self::Own | Self::OwnConfirmed | Self::AdminConfirmed)
    }

    /// The password must have been given a short while ago: an unlocked screen must not be enough.
    pub fn confirmed(self) -> bool {
        matches!(self, Self::OwnConfirmed | Self::AdminConfirmed)
    }
}

/// An HTTP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Reads.
    Get,
    /// Acts or makes.
    Post,
    /// Changes.
    Patch,
    /// Puts content in a place.
    Put,
}

/// What comes back when it works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// 200 with JSON.
    Ok,
    /// 201 with JSON.
    Created,
    /// 202 with JSON: a job that goes on.
    Accepted,
    /// 204.
    Nothing,
    /// 200 with `text/plain` as a file.
    Download,
    /// 200 with any bytes as a file.
    Bytes,
    /// 200 with a tar archive.
    Archive,
    /// 200 with a stream of events: `text/event-stream`.
    Events,
    /// 101: a WebSocket.
    Upgrade,
}

/// One entry of the table.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// Its name.
    pub id: OperationId,
    /// Its name as text: `operationId` of the document.
    pub name: &'static str,
    /// The method.
    pub method: Method,
    /// The path behind [`BASE_PATH`], with `{parameters}`.
    pub path: &'static str,
    /// Who may call it.
    pub permission: Permission,
    /// The group it belongs to.
    pub tag: &'static str,
    /// What it does.
    pub summary: &'static str,
    /// Query parameters.
    pub query: SchemaOf,
    /// Body of the request.
    pub body: SchemaOf,
    /// Kind of answer.
    pub answer: Answer,
    /// Body of the answer.
    pub answer_body: SchemaOf,
}

impl Operation {
    /// It changes something: it is audited and demands the page's own origin.
    pub fn mutates(&self) -> bool {
        self.method != Method::Get
    }
}

macro_rules! operations {
    ($($tag:literal { $($id:ident $method:ident $path:literal $permission:ident ($query:ty, $body:ty) $answer:ident $answer_body:ty, $summary:literal;)+ })+) => {
        /// The names of all operations.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum OperationId {
            $($(#[doc = $summary] $id,)+)+
        }

        /// All operations.
        pub const OPERATIONS: &[Operation] = &[
            $($(Operation {
                id: OperationId::$id,
                name: stringify!($id),
                method: Method::$method,
                path: $path,
                permission: Permission::$permission,
                tag: $tag,
                summary: $summary,
                query: schema_of::<$query>,
                body: schema_of::<$body>,
                answer: Answer::$answer,
                answer_body: schema_of::<$answer_body>,
            },)+)+
        ];
    };
}

operations! {
    "auth" {
        SessionStatus Get "/auth/session" Public ((), ()) Ok SessionStatus, "Tells whether set-up is due and who is signed in.";
        Setup Post "/auth/setup" Public ((), SetupRequest) Created Me, "Creates the first administrator with the one-time token and signs in.";
        Login Post "/auth/login" Public ((), LoginRequest) Ok Me, "Signs in.";
        Confirm Post "/auth/confirm" Public ((), ConfirmRequest) Ok Me, "Proves again who is signed in; what gives power over the host asks for it ten minutes after the last time.";
        Logout Post "/auth/logout" Public ((), ()) Nothing (), "Signs out.";
    }
    "account" {
        PasswordChange Post "/account/password" Own ((), PasswordChangeRequest) Ok Ended, "Gives oneself another password and ends one's other sessions.";
        OwnSessions Get "/account/sessions" Own ((), ()) Ok Items<SessionInfo>, "Lists one's own sessions, newest first.";
        OwnSessionsEnd Post "/account/sessions/end-others" Own ((), ()) Ok Ended, "Ends one's own sessions but this one.";
        OwnSessionEnd Post "/account/sessions/{session}/end" Own ((), ()) Ok Ended, "Ends one of one's own sessions.";
        SecondFactorGet Get "/account/second-factor" Own ((), ()) Ok SecondFactor, "Tells how the account proves who signs in, beside the password.";
        TotpBegin Post "/account/totp/begin" OwnConfirmed ((), ()) Ok TotpBegun, "Makes a secret for an authenticator app; nothing asks for its codes yet.";
        TotpEnable Post "/account/totp/enable" OwnConfirmed ((), TotpEnableRequest) Ok RecoveryCodes, "Asks for a code at each sign-in from now on, and makes recovery codes.";
        TotpDisable Post "/account/totp/disable" OwnConfirmed ((), ()) Ok SecondFactor, "Asks for no code any more; the secret and the recovery codes are gone.";
        RecoveryCodesMake Post "/account/recovery-codes" OwnConfirmed ((), ()) Ok RecoveryCodes, "Makes recovery codes; those from before are void.";
        TokenList Get "/tokens" Own (TokenListQuery, ()) Ok Items<Token>, "Lists tokens, newest first.";
        TokenCreate Post "/tokens" OwnConfirmed ((), TokenCreateRequest) Created TokenCreated, "Makes a token for oneself; its secret is shown this once.";
        TokenRevoke Post "/tokens/{token}/revoke" Own ((), ()) Ok Written, "Revokes a token of one's own, as an administrator anyone's.";
    }
    "users" {
        UserList Get "/users" Admin ((), ()) Ok Items<User>, "Lists users by name.";
        UserCreate Post "/users" AdminConfirmed ((), UserCreateRequest) Created OneTimePassword, "Makes a user with a one-time password, which is shown this once.";
        UserGet Get "/users/{user}" Admin ((), ()) Ok User, "Tells about one user.";
        UserUpdate Patch "/users/{user}" AdminConfirmed ((), UserUpdateRequest) Ok User, "Changes a user's role, or keeps a user out; the last administrator stays one.";
        UserPassword Post "/users/{user}/one-time-password" AdminConfirmed ((), ()) Ok OneTimePassword, "Gives a user a one-time password and ends the user's sessions.";
        UserSecondFactorRemove Post "/users/{user}/second-factor/remove" AdminConfirmed ((), ()) Ok User, "Takes a user's lost second factor away and ends the user's sessions.";
        UserRemove Post "/users/{user}/remove" AdminConfirmed ((), ()) Ok Written, "Removes a user with sessions and tokens; the last administrator stays.";
        UserSessions Get "/users/{user}/sessions" Admin ((), ()) Ok Items<SessionInfo>, "Lists a user's sessions, newest first.";
        UserSessionsEnd Post "/users/{user}/sessions/end" Admin ((), ()) Ok Ended, "Ends all sessions of a user.";
    }
    "alerts" {
        AlertList Get "/alerts" Read (AlertQuery, ()) Ok Items<Alert>, "Lists alerts: those that fire first, then the newest.";
        AlertRuleList Get "/alert-rules" Read ((), ()) Ok Items<AlertRule>, "Lists the rules of alerts, oldest first.";
        AlertRuleCreate Post "/alert-rules" Operate ((), AlertRuleRequest) Created AlertRule, "Makes a rule.";
        AlertRuleChange Put "/alert-rules/{rule}" Operate ((), AlertRuleRequest) Ok AlertRule, "Changes a rule whole; what it found is kept.";
        AlertRuleRemove Post "/alert-rules/{rule}/remove" Operate ((), ()) Ok Written, "Removes a rule; what it found is over.";
        AlertChannelList Get "/alert-channels" Operate ((), ()) Ok Items<AlertChannel>, "Lists where alerts are sent, without secrets.";
        AlertChannelCreate Post "/alert-channels" AdminConfirmed ((), AlertChannelRequest) Created AlertChannel, "Makes a channel.";
        AlertChannelUpdate Patch "/alert-channels/{channel}" AdminConfirmed ((), AlertChannelUpdate) Ok AlertChannel, "Changes a channel; what is absent stays.";
        AlertChannelRemove Post "/alert-channels/{channel}/remove" AdminConfirmed ((), ()) Ok Written, "Removes a channel with the messages that wait for it.";
        AlertChannelTest Post "/alert-channels/{channel}/test" Admin ((), ()) Ok AlertTestResult, "Sends a test message now.";
    }
    "audit" {
        AuditSearch Get "/audit" Admin (AuditQuery, ()) Ok AuditPage, "Searches the audit log, newest first.";
        AuditVerify Get "/audit/verify" Admin ((), ()) Ok AuditVerified, "Checks the chain of hashes of the whole audit log.";
    }
    "system" {
        ApiDocument Get "/openapi.json" Read ((), ()) Ok ApiDocument, "Returns this document.";
        Capabilities Get "/capabilities" Read ((), ()) Ok Capabilities, "Tells what works here, what does not, why, and what would make it work.";
        EngineList Get "/engines" Read ((), ()) Ok Items<EngineInfo>, "Lists the engines with their state.";
        EngineGet Get "/engines/{engine}" Read ((), ()) Ok EngineInfo, "Tells about one engine.";
        EngineEvents Get "/engines/{engine}/events" Read (ListQuery, ()) Ok Items<EngineEvent>, "Lists the newest events of an engine, oldest first.";
        EngineDiskUsage Get "/engines/{engine}/disk-usage" Read ((), ()) Ok DiskUsage, "Measures the disk that an engine uses; may take seconds.";
        HostFigures Get "/host" Read ((), ()) Ok HostFigures, "Tells the newest figures of the server's machine.";
        HostHistory Get "/host/history" Read (HistoryQuery, ()) Ok HostHistory, "Tells the figures of the server's machine over a time range.";
        Metrics Get "/metrics" Read ((), ()) Download (), "Tells figures of this server, its engines and each running container in Prometheus' text format; also at `/metrics`.";
        EnginePrunePreview Post "/engines/{engine}/prune/preview" Operate ((), PruneRequest) Ok Preview, "Tells what pruning an engine would take: a dry run.";
        EnginePrune Post "/engines/{engine}/prune" Operate ((), PruneRun) Ok PruneResult, "Prunes an engine as previewed.";
        Stream Get "/stream" Read (StreamQuery, ()) Events (), "Streams a live topic as Server-Sent Events; `Last-Event-ID` goes on from there.";
        Live Get "/live" Read ((), ()) Upgrade (), "Opens the live socket.";
    }
    "jobs" {
        JobList Get "/jobs" Read (ListQuery, ()) Ok Items<Job>, "Lists jobs, newest first.";
        JobGet Get "/jobs/{job}" Read ((), ()) Ok Job, "Tells about one job.";
        JobLog Get "/jobs/{job}/log" Read ((), ()) Ok JobLog, "Tells what a job did, line by line.";
        JobCancel Post "/jobs/{job}/cancel" Operate ((), ()) Ok Written, "Cancels a job.";
    }
    "containers" {
        ContainerList Get "/engines/{engine}/containers" Read (ListQuery, ()) Ok Items<ContainerSummary>, "Lists all containers of an engine.";
        ContainerCreate Post "/engines/{engine}/containers" Operate ((), ContainerCreateRequest) Created ContainerCreated, "Makes a container and starts it when asked.";
        ContainerActions Post "/engines/{engine}/containers/actions" Operate ((), BulkRequest) Ok BulkResult, "Does the same to several containers; each has its own result.";
        ContainerPreview Post "/engines/{engine}/containers/preview" Operate ((), ContainerPreviewRequest) Ok Preview, "Tells what removing containers would do.";
        ContainerGet Get "/engines/{engine}/containers/{container}" Read ((), ()) Ok ContainerDetail, "Tells all about a container.";
        ContainerUpdate Patch "/engines/{engine}/containers/{container}" Operate ((), ContainerUpdateRequest) Ok Written, "Changes limits or the restart policy.";
        ContainerInspect Get "/engines/{engine}/containers/{container}/inspect" Read ((), ()) Ok RawInspect, "Returns the engine's own inspect answer with secrets masked.";
        ContainerReveal Post "/engines/{engine}/containers/{container}/reveal" Admin ((), RevealRequest) Ok Revealed, "Reveals one masked value; audited.";
        ContainerStart Post "/engines/{engine}/containers/{container}/start" Operate ((), ()) Ok Written, "Starts a container.";
        ContainerStop Post "/engines/{engine}/containers/{container}/stop" Operate ((), StopRequest) Ok Written, "Stops a container.";
        ContainerRestart Post "/engines/{engine}/containers/{container}/restart" Operate ((), StopRequest) Ok Written, "Restarts a container.";
        ContainerKill Post "/engines/{engine}/containers/{container}/kill" Operate ((), KillRequest) Ok Written, "Sends a signal to a container.";
        ContainerPause Post "/engines/{engine}/containers/{container}/pause" Operate ((), ()) Ok Written, "Freezes a container.";
        ContainerUnpause Post "/engines/{engine}/containers/{container}/unpause" Operate ((), ()) Ok Written, "Lets a frozen container go on.";
        ContainerRename Post "/engines/{engine}/containers/{container}/rename" Operate ((), RenameRequest) Ok Written, "Gives a container another name.";
        ContainerRemove Post "/engines/{engine}/containers/{container}/remove" Operate ((), ContainerRemoveRequest) Ok Written, "Removes the container that was previewed.";
        ContainerEditPreview Post "/engines/{engine}/containers/{container}/edit/preview" Operate ((), ContainerChanges) Ok Preview, "Tells what making a container anew with changes would do.";
        ContainerEdit Post "/engines/{engine}/containers/{container}/edit" Operate ((), ContainerEditRequest) Accepted Job, "Makes the container anew as previewed, as a job; when the new one does not work the old one is back.";
        ContainerClone Post "/engines/{engine}/containers/{container}/clone" Operate ((), ContainerCloneRequest) Created ContainerCreated, "Makes another container of the same settings.";
        RevisionList Get "/engines/{engine}/revisions" Operate ((), ()) Ok Items<ContainerRevision>, "Lists what containers were made with before they were changed or removed, newest first.";
        RevisionPreview Post "/engines/{engine}/revisions/{revision}/preview" Operate ((), ()) Ok Preview, "Tells what putting a container back would do, and what cannot be put back.";
        RevisionRestore Post "/engines/{engine}/revisions/{revision}/restore" Operate ((), RestoreRequest) Accepted Job, "Puts a container back as previewed, as a job.";
        ContainerTop Get "/engines/{engine}/containers/{container}/top" Read ((), ()) Ok Top, "Lists the processes of a container.";
        ContainerLogs Get "/engines/{engine}/containers/{container}/logs" Read (LogQuery, ()) Ok LogPage, "Returns lines of a container's log.";
        ContainerLogDownload Get "/engines/{engine}/containers/{container}/logs/download" Read (LogDownloadQuery, ()) Download (), "Downloads a container's log as text.";
        ContainerHistory Get "/engines/{engine}/containers/{container}/stats" Read (HistoryQuery, ()) Ok StatsHistory, "Tells a container's figures over a time range, the newest last.";
        ContainerInside Get "/engines/{engine}/containers/{container}/inside" Read ((), ()) Ok Inside, "Tells what a container is made of, from the live kernel.";
    }
    "terminals" {
        TerminalOpen Post "/engines/{engine}/containers/{container}/terminals" Operate ((), TerminalOpenRequest) Created Terminal, "Opens a terminal in a container; audited.";
        TerminalList Get "/terminals" Operate ((), ()) Ok Items<Terminal>, "Lists your terminals; an administrator sees everybody's.";
        TerminalGet Get "/terminals/{terminal}" Operate ((), ()) Ok Terminal, "Tells about one terminal.";
        TerminalIo Get "/terminals/{terminal}/io" Operate (TerminalQuery, ()) Upgrade (), "Connects to a terminal, in binary frames; audited.";
        TerminalClose Post "/terminals/{terminal}/close" Operate ((), ()) Ok Terminal, "Ends a terminal with everything that runs in it.";
    }
    "files" {
        ContainerFileList Get "/engines/{engine}/containers/{container}/files" Operate (FileQuery, ()) Ok FileListing, "Lists a directory of a container.";
        ContainerFileStat Get "/engines/{engine}/containers/{container}/files/stat" Operate (FileQuery, ()) Ok FileEntry, "Tells about one file of a container.";
        ContainerFileDownload Get "/engines/{engine}/containers/{container}/files/download" Operate (FileQuery, ()) Bytes (), "Downloads a file of a container as it is, a directory as a tar archive.";
        ContainerFileUpload Put "/engines/{engine}/containers/{container}/files/upload" Operate (FileUploadQuery, BinaryContent) Ok Written, "Writes a file of a container, or unpacks a tar archive into a directory; the body is streamed.";
        ContainerFileText Get "/engines/{engine}/containers/{container}/files/text" Operate (FileQuery, ()) Ok FileText, "Reads a small text file of a container; `ETag` names its content.";
        ContainerFileEdit Put "/engines/{engine}/containers/{container}/files/text" Operate (FileQuery, FileEditRequest) Ok FileText, "Writes a small text file of a container unless it changed since `If-Match` (412).";
        ContainerFileDirectory Post "/engines/{engine}/containers/{container}/files/directory" Operate ((), DirectoryRequest) Created FileEntry, "Makes a directory in a container.";
        ContainerFileRename Post "/engines/{engine}/containers/{container}/files/rename" Operate ((), FileRenameRequest) Ok FileEntry, "Renames or moves a file within a container.";
        ContainerFilePreview Post "/engines/{engine}/containers/{container}/files/preview" Operate ((), FilePreviewRequest) Ok Preview, "Tells what removing files of a container would do.";
        ContainerFileRemove Post "/engines/{engine}/containers/{container}/files/remove" Operate ((), FileRemoveRequest) Ok Written, "Removes the files that were previewed.";
        VolumeFileList Get "/engines/{engine}/volumes/{volume}/files" Operate (FileQuery, ()) Ok FileListing, "Lists a directory of a volume.";
        VolumeFileStat Get "/engines/{engine}/volumes/{volume}/files/stat" Operate (FileQuery, ()) Ok FileEntry, "Tells about one file of a volume.";
        VolumeFileDownload Get "/engines/{engine}/volumes/{volume}/files/download" Operate (FileQuery, ()) Bytes (), "Downloads a file of a volume as it is, a directory as a tar archive.";
        VolumeFileUpload Put "/engines/{engine}/volumes/{volume}/files/upload" Operate (FileUploadQuery, BinaryContent) Ok Written, "Writes a file of a volume, or unpacks a tar archive into a directory; the body is streamed.";
        VolumeFileText Get "/engines/{engine}/volumes/{volume}/files/text" Operate (FileQuery, ()) Ok FileText, "Reads a small text file of a volume; `ETag` names its content.";
        VolumeFileEdit Put "/engines/{engine}/volumes/{volume}/files/text" Operate (FileQuery, FileEditRequest) Ok FileText, "Writes a small text file of a volume unless it changed since `If-Match` (412).";
        VolumeFileDirectory Post "/engines/{engine}/volumes/{volume}/files/directory" Operate ((), DirectoryRequest) Created FileEntry, "Makes a directory in a volume.";
        VolumeFileRename Post "/engines/{engine}/volumes/{volume}/files/rename" Operate ((), FileRenameRequest) Ok FileEntry, "Renames or moves a file within a volume.";
        VolumeFilePreview Post "/engines/{engine}/volumes/{volume}/files/preview" Operate ((), FilePreviewRequest) Ok Preview, "Tells what removing files of a volume would do.";
        VolumeFileRemove Post "/engines/{engine}/volumes/{volume}/files/remove" Operate ((), FileRemoveRequest) Ok Written, "Removes the files that were previewed.";
        VolumeBackup Get "/engines/{engine}/volumes/{volume}/backup" Operate ((), ()) Archive (), "Downloads everything in a volume as a tar archive.";
        VolumeRestore Put "/engines/{engine}/volumes/{volume}/restore" Operate (VolumeRestoreQuery, TarArchive) Ok Written, "Unpacks a tar archive into a volume; the body is streamed.";
        VolumeClone Post "/engines/{engine}/volumes/{volume}/clone" Operate ((), VolumeCloneRequest) Accepted Job, "Copies a volume into a new one, as a job.";
    }
    "images" {
        ImageList Get "/engines/{engine}/images" Read (ListQuery, ()) Ok Items<ImageSummary>, "Lists all images of an engine.";
        ImagePull Post "/engines/{engine}/images/pull" Operate ((), PullRequest) Accepted Job, "Pulls an image as a job.";
        ImagePreview Post "/engines/{engine}/images/preview" Operate ((), ImagePreviewRequest) Ok Preview, "Tells what removing or pruning images would do.";
        ImageRemove Post "/engines/{engine}/images/remove" Operate ((), ImageRemoveRequest) Ok BulkResult, "Removes the images that were previewed.";
        ImageLoad Post "/engines/{engine}/images/load" Operate ((), TarArchive) Accepted Job, "Loads the images of an archive, as a job; the body is streamed.";
        ImageBuild Post "/engines/{engine}/images/build" Operate (BuildQuery, TarArchive) Accepted Job, "Builds an image from a context, as a job; the body is streamed.";
        ImageBuildDockerfile Post "/engines/{engine}/images/build-dockerfile" Operate ((), BuildDockerfileRequest) Accepted Job, "Builds an image from a Dockerfile alone, as a job.";
        ImageUpdateCheck Post "/engines/{engine}/images/update-check" Operate ((), UpdateCheckRequest) Ok Items<UpdateCheck>, "Asks the registries whether they have newer images.";
        ImagePush Post "/engines/{engine}/images/{image}/push" Operate ((), ImagePushRequest) Accepted Job, "Pushes an image to its registry, as a job.";
        ImageTag Post "/engines/{engine}/images/{image}/tag" Operate ((), ImageTagRequest) Ok Written, "Gives an image another name.";
        ImageSave Get "/engines/{engine}/images/{image}/save" Operate ((), ()) Archive (), "Downloads an image as an archive.";
        ImageGet Get "/engines/{engine}/images/{image}" Read ((), ()) Ok ImageDetail, "Tells all about an image.";
    }
    "volumes" {
        VolumeList Get "/engines/{engine}/volumes" Read (ListQuery, ()) Ok Items<VolumeSummary>, "Lists all volumes of an engine.";
        VolumeCreate Post "/engines/{engine}/volumes" Operate ((), VolumeCreateRequest) Created VolumeDetail, "Makes a volume.";
        VolumePreview Post "/engines/{engine}/volumes/preview" Operate ((), VolumePreviewRequest) Ok Preview, "Tells what removing volumes would do.";
        VolumeRemove Post "/engines/{engine}/volumes/remove" Operate ((), VolumeRemoveRequest) Ok BulkResult, "Removes the volumes that were previewed.";
        VolumeGet Get "/engines/{engine}/volumes/{volume}" Read ((), ()) Ok VolumeDetail, "Tells all about a volume.";
    }
    "networks" {
        NetworkList Get "/engines/{engine}/networks" Read (ListQuery, ()) Ok Items<NetworkSummary>, "Lists all networks of an engine.";
        NetworkCreate Post "/engines/{engine}/networks" Operate ((), NetworkCreateRequest) Created NetworkDetail, "Makes a network.";
        NetworkPreview Post "/engines/{engine}/networks/preview" Operate ((), NetworkPreviewRequest) Ok Preview, "Tells what removing or pruning networks would do.";
        NetworkRemove Post "/engines/{engine}/networks/remove" Operate ((), NetworkRemoveRequest) Ok BulkResult, "Removes the networks that were previewed.";
        NetworkGet Get "/engines/{engine}/networks/{network}" Read ((), ()) Ok NetworkDetail, "Tells all about a network.";
        NetworkConnect Post "/engines/{engine}/networks/{network}/connect" Operate ((), NetworkConnectRequest) Ok Written, "Connects a container.";
        NetworkDisconnect Post "/engines/{engine}/networks/{network}/disconnect" Operate ((), NetworkDisconnectRequest) Ok Written, "Disconnects a container.";
        Topology Get "/engines/{engine}/topology" Read ((), ()) Ok Topology, "Tells who is connected with whom, and what is open to the host and beyond.";
    }
    "compare" {
        CompareStart Post "/compare" Operate ((), CompareRequest) Accepted CompareStarted, "Runs the same on each engine, taking turns, as a job.";
        CompareList Get "/compare" Read ((), ()) Ok Items<CompareResult>, "Lists comparisons, newest first.";
        CompareGet Get "/compare/{comparison}" Read ((), ()) Ok CompareResult, "Tells about one comparison, also while it runs.";
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_method_and_path_occurs_once() {
        let mut seen = HashSet::new();
        for operation in OPERATIONS {
            assert!(
                seen.insert((operation.method, operation.path)),
                "{}",
                operation.name
            );
        }
    }

    #[test]
    fn what_is_public_is_only_sign_in() {
        for operation in OPERATIONS {
            assert_eq!(
                operation.permission == Permission::Public,
                operation.path.starts_with("/auth/"),
                "{}",
                operation.name
            );
        }
    }

    #[test]
    fn viewers_change_nothing_but_their_own_account() {
        for operation in OPERATIONS {
            match operation.permission {
                Permission::Read => assert!(!operation.mutates(), "{}", operation.name),
                Permission::Own | Permission::OwnConfirmed => assert!(
                    operation.path.starts_with("/account/")
                        || operation.path.starts_with("/tokens"),
                    "{}",
                    operation.name
                ),
                _ => {}
            }
        }
    }

    #[test]
    fn roles_include_those_below() {
        assert!(Permission::Read.allows(Some(Role::Viewer)));
        assert!(!Permission::Read.allows(None));
        assert!(!Permission::Operate.allows(Some(Role::Viewer)));
        assert!(Permission::Operate.allows(Some(Role::Admin)));
        assert!(!Permission::Admin.allows(Some(Role::Operator)));
        assert!(!Permission::AdminConfirmed.allows(Some(Role::Operator)));
        assert!(Permission::Own.allows(Some(Role::Viewer)) && !Permission::Own.allows(None));
    }
}
