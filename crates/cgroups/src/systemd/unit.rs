//! Names of systemd's units, and the cgroups that systemd gives them.
//!
//! Source: man 5 systemd.slice, systemd.unit; runtime-spec's callers write `slice:prefix:name` for `cgroupsPath`.

use crate::Error;

/// The scope of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The slice it is in: `system.slice`.
    pub slice: String,
    /// The unit's name: `docker-1234.scope`.
    pub name: String,
}

impl Scope {
    /// The scope that a `cgroupsPath` of the form `slice:prefix:name` names. An empty path, and an empty slice, stand for
    /// `default_slice`; without a prefix the name stands alone.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another form, and for a slice that is none.
    pub fn from_cgroups_path(path: &str, id: &str, default_slice: &str) -> Result<Self, Error> {
        if path.is_empty() {
            return Ok(Self {
                slice: default_slice.to_owned(),
                name: format!("mini-{id}.scope"),
            });
        }
        let invalid = |reason: &str| Error::Invalid {
            what: "cgroupsPath".into(),
            value: format!("{path:?}"),
            reason: reason.to_owned(),
        };
        let parts: Vec<&str> = path.split(':').collect();
        let [slice, prefix, name] = *parts.as_slice() else {
            return Err(invalid(
                "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups",
            ));
        };
        if name.is_empty() || name.contains('/') || prefix.contains('/') {
            return Err(invalid("the name of a scope is not empty and has no slash"));
        }
        if name.strip_suffix(".slice").is_some() {
            return Err(invalid("a slice holds no processes: name a scope"));
        }
        let slice = if slice.is_empty() {
            default_slice
        } else {
            slice
        };
        slice_path(slice)?;
        Ok(Self {
            slice: slice.to_owned(),
            name: if prefix.is_empty() {
                format!("{name}.scope")
            } else {
                format!("{prefix}-{name}.scope")
            },
        })
    }

    /// The path of its cgroup below the manager's.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a slice that is none.
    pub fn cgroup_path(&self) -> Result<String, Error> {
        let slice = slice_path(&self.slice)?;
        Ok(format!("{}/{}", slice.trim_end_matches('/'), self.name))
    }
}

/// The path of a slice: `a-b.slice` is `/a.slice/a-b.slice`, `-.slice` the root.
///
/// # Errors
/// [`Error::Invalid`] for a name that is none.
pub fn slice_path(slice: &str) -> Result<String, Error> {
    let invalid = || Error::Invalid {
        what: "slice".into(),
        value: format!("{slice:?}"),
        reason: "invalid slice name".into(),
    };
    let name = slice.strip_suffix(".slice").ok_or_else(invalid)?;
    if name == "-" {
        return Ok("/".into());
    }
    let (mut path, mut prefix) = (String::new(), String::new());
    for part in name.split('-') {
        if part.is_empty() || part.contains('/') || part.contains('\0') {
            return Err(invalid());
        }
        path = format!("{path}/{prefix}{part}.slice");
        prefix = format!("{prefix}{part}-");
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_below_those_that_its_name_begins_with() {
        assert_eq!(
            slice_path("test-a-b.slice").unwrap(),
            "/test.slice/test-a.slice/test-a-b.slice"
        );
        assert_eq!(slice_path("-.slice").unwrap(), "/");
        for bad in [
            "",
            ".slice",
            "a",
            "a/b.slice",
            "a--b.slice",
            "-a.slice",
            "a-.slice",
        ] {
            assert!(slice_path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_cgroups_path_names_slice_prefix_and_name() {
        let of = |path| Scope::from_cgroups_path(path, "x", "system.slice");
        let scope = of("machine.slice:docker:1234").unwrap();
        assert_eq!(scope.name, "docker-1234.scope");
        assert_eq!(
            scope.cgroup_path().unwrap(),
            "/machine.slice/docker-1234.scope"
        );
        assert_eq!(of("").unwrap().name, "mini-x.scope");
        assert_eq!(of(":libpod:1").unwrap().slice, "system.slice");
        assert_eq!(of("a.slice::1").unwrap().name, "1.scope");
        for bad in [
            "/a/b",
            "a:b",
            "a:b:c:d",
            "a.slice:b:",
            "a:b:c",
            "a.slice:b:c/d",
            "a.slice:b:c.slice",
        ] {
            let error = of(bad).unwrap_err();
            assert!(error.to_string().contains("slice"), "{bad}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_path_is_a_scope_below_a_slice_or_an_error(path in "\\PC*") {
            if let Ok(scope) = Scope::from_cgroups_path(&path, "x", "system.slice") {
                let path = scope.cgroup_path().unwrap();
                proptest::prop_assert!(path.starts_with('/') && !path.contains("/../"));
            }
        }
    }
}
