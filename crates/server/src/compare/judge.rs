//! What the figures of a comparison say, in sentences; also when they say nothing.

use api::compare::{CompareEngine, CompareSample};

use super::statistics::{p_value, spread};

/// Below this a difference is taken as real.
const SURE: f64 = 0.01;
/// A difference below a twentieth is of no use to anyone, however sure.
const WORTH_TELLING: f64 = 1.05;

/// One figure of a run.
type Figure = fn(&CompareSample) -> f64;

/// Fills in the spreads of an engine from its samples.
pub(super) fn summarise(engine: &mut CompareEngine) {
    let of = |figure: fn(&CompareSample) -> f64| -> Vec<f64> {
        engine.samples.iter().map(figure).collect()
    };
    let (create, start, run) = (of(|s| s.create_ms), of(|s| s.start_ms), of(|s| s.run_ms));
    let (remove, total) = (of(|s| s.remove_ms), of(|s| s.total_ms));
    let memory = memory(engine);
    engine.create_ms = spread(&create);
    engine.start_ms = spread(&start);
    engine.run_ms = spread(&run);
    engine.remove_ms = spread(&remove);
    engine.total_ms = spread(&total);
    engine.memory_peak_bytes = spread(&memory);
}

fn memory(engine: &CompareEngine) -> Vec<f64> {
    engine
        .samples
        .iter()
        .filter_map(|s| s.memory_peak_bytes)
        .map(|bytes| bytes as f64)
        .collect()
}

/// The sentences.
pub(super) fn sentences(engines: &[CompareEngine]) -> Vec<String> {
    let mut out: Vec<String> = engines
        .iter()
        .filter_map(|e| {
            Some(format!(
                "{} did not take part: {}.",
                e.engine,
                e.excluded.as_ref()?
            ))
        })
        .collect();
    let taking_part: Vec<&CompareEngine> =
        engines.iter().filter(|e| !e.samples.is_empty()).collect();
    if let [a, b] = taking_part[..] {
        let times: [(&str, Figure); 5] = [
            ("Create", |s| s.create_ms),
            ("Start, until the engine says that it runs", |s| s.start_ms),
            ("Start until the exit is told", |s| s.run_ms),
            ("Remove", |s| s.remove_ms),
            ("All of it", |s| s.total_ms),
        ];
        for (title, figure) in times {
            let of = |engine: &CompareEngine| -> Vec<f64> {
                engine.samples.iter().map(figure).collect()
            };
            out.extend(sentence(title, (a, &of(a)), (b, &of(b)), &milliseconds));
        }
        out.extend(sentence(
            "Peak memory of the container",
            (a, &memory(a)),
            (b, &memory(b)),
            &bytes,
        ));
        if memory(a).is_empty() || memory(b).is_empty() {
            out.push("Peak memory of the container was not measured on both: it ends before its cgroup can be read, or the cgroup is out of reach.".to_owned());
        }
    }
    for engine in &taking_part {
        let wrong = engine.samples.iter().filter(|s| s.exit_code != 0).count();
        if wrong > 0 {
            out.push(format!(
                "{wrong} of {} runs on {} ended with another exit code than 0.",
                engine.samples.len(),
                engine.engine
            ));
        }
    }
    out
}

fn sentence(
    title: &str,
    a: (&CompareEngine, &[f64]),
    b: (&CompareEngine, &[f64]),
    write: &dyn Fn(f64) -> String,
) -> Option<String> {
    let (quick, slow) = (spread(a.1)?.median, spread(b.1)?.median);
    let ((quick, first), (slow, second)) = if quick <= slow {
        ((quick, a), (slow, b))
    } else {
        ((slow, b), (quick, a))
    };
    let medians = format!(
        "{} {}, {} {}",
        first.0.engine,
        write(quick),
        second.0.engine,
        write(slow)
    );
    let ratio = if quick > 0.0 { slow / quick } else { 1.0 };
    Some(match p_value(a.1, b.1) {
        None => {
            format!("{title}: medians {medians}. Too few runs to tell a difference from noise.")
        }
        Some(p) if p >= SURE || ratio < WORTH_TELLING => {
            format!("{title}: no difference beyond noise (medians {medians}).")
        }
        Some(_) => format!(
            "{title}: {} takes {ratio:.1} times as much (medians {medians}).",
            second.0.engine
        ),
    })
}

fn milliseconds(value: f64) -> String {
    if value >= 100.0 {
        format!("{value:.0} ms")
    } else {
        format!("{value:.1} ms")
    }
}

fn bytes(value: f64) -> String {
    format!("{:.1} MiB", value / 1_048_576.0)
}

#[cfg(test)]
mod tests {
    use api::id::EngineName;

    use super::*;

    fn engine(name: &str, times: impl Iterator<Item = f64>) -> CompareEngine {
        let samples = (0..)
            .zip(times)
            .map(|(run, ms)| CompareSample {
                run,
                create_ms: ms,
                start_ms: ms,
                run_ms: ms,
                remove_ms: ms,
                total_ms: ms * 3.0,
                memory_peak_bytes: None,
                exit_code: 0,
            })
            .collect();
        CompareEngine {
            engine: EngineName::parse(name).unwrap(),
            version: String::new(),
            excluded: None,
            samples,
            create_ms: None,
            start_ms: None,
            run_ms: None,
            remove_ms: None,
            total_ms: None,
            memory_peak_bytes: None,
            engine_memory_bytes: None,
            engine_memory_note: None,
        }
    }

    #[test]
    fn a_clear_difference_is_told_with_its_size() {
        let engines = [
            engine("docker", (0..10).map(|n| 300.0 + f64::from(n))),
            engine("mini", (0..10).map(|n| 20.0 + f64::from(n) / 10.0)),
        ];
        let said = sentences(&engines);
        assert!(
            said[0].starts_with("Create: docker takes 14.9 times as much"),
            "{said:?}"
        );
    }

    #[test]
    fn noise_is_called_noise() {
        let engines = [
            engine("docker", (0..20).map(|n| 300.0 + f64::from(n * 37 % 20))),
            engine("mini", (0..20).map(|n| 300.0 + f64::from(n * 23 % 20))),
        ];
        assert!(sentences(&engines)[0].contains("no difference beyond noise"));
    }

    #[test]
    fn few_runs_claim_nothing() {
        let engines = [
            engine("docker", [300.0].into_iter()),
            engine("mini", [20.0].into_iter()),
        ];
        assert!(sentences(&engines)[0].contains("Too few runs"));
    }
}
