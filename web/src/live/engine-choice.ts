import { useCallback, useMemo } from 'react';
import { useSearchParams } from 'react-router';

import type { EngineInfo } from '@/api/schema.gen.ts';
import { sentences } from '@/lib/format.ts';
import { plainProse } from '@/ui/Prose.tsx';

import { useEngines } from './stores.ts';

export type EngineChoice = 'all' | 'docker' | 'mini';

const STORAGE_KEY = 'containeros.engine';
const CHOICES: readonly EngineChoice[] = ['all', 'docker', 'mini'];

function choiceOf(text: string | null): EngineChoice | null {
  return CHOICES.find((choice) => choice === text) ?? null;
}

/** Which engines the page shows: in the address, and remembered for addresses that do not say. */
export function useEngineChoice(): {
  choice: EngineChoice;
  choose: (choice: EngineChoice) => void;
  /** Names of the engines that are shown. */
  engines: readonly string[];
} {
  const [search, setSearch] = useSearchParams();
  const { items } = useEngines();
  const choice = choiceOf(search.get('engine')) ?? choiceOf(localStorage.getItem(STORAGE_KEY)) ?? 'all';
  const choose = useCallback(
    (next: EngineChoice) => {
      localStorage.setItem(STORAGE_KEY, next);
      setSearch(
        (before) => {
          const after = new URLSearchParams(before);
          after.set('engine', next);
          return after;
        },
        { replace: true },
      );
    },
    [setSearch],
  );
  const engines = useMemo(
    () => items.filter((one) => present(one) && (choice === 'all' || one.name === choice)).map((one) => one.name),
    [items, choice],
  );
  return { choice, choose, engines };
}

/** The engine is on this machine, though it may not answer now. */
export function present(engine: EngineInfo): boolean {
  return engine.state !== 'absent';
}

/** Why an engine cannot be used now, or nothing. */
export function unavailable(engine: EngineInfo): string | undefined {
  if (engine.state === 'connected') return undefined;
  return plainProse(sentences(engine.reason, engine.hint)) || engine.state;
}
