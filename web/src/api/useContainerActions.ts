import { useMemo } from 'react';

import { bareName } from '@/lib/format.ts';
import { catalogue } from '@/lib/i18n.ts';
import { engineName } from '@/ui/EngineMark.tsx';
import { toast } from '@/ui/toasts.ts';

import { api, unwrap } from './client.ts';
import { confirmAct, confirmLoss } from './confirm.ts';
import type { BulkItemResult, ContainerAction, ContainerSummary, Preview } from './schema.gen.ts';
import { useAction } from './useAction.ts';

const t = catalogue('container-actions', {
  start: 'Start',
  stop: 'Stop',
  restart: 'Restart',
  kill: 'Kill',
  pause: 'Pause',
  unpause: 'Resume',
  remove: 'Remove',
  started: '{name} started',
  stopped: '{name} stopped',
  restarted: '{name} restarted',
  killed: '{name} killed',
  paused: '{name} paused',
  unpaused: '{name} goes on',
  removed: '{name} removed',
  startAgain: 'Start again',
  restartTitle: 'Restart {name} on {engine}?',
  restartBody:
    'It is asked to stop, killed if it does not, and started again. What it holds in memory is lost; its files stay.',
  killTitle: 'Kill {name} on {engine}?',
  killBody: 'It ends at once (SIGKILL) and cannot save anything first. Its files stay.',
  removeTitle: 'Remove {name} on {engine}?',
  removeVerb: 'Remove on {engine}',
  both: 'both engines',
  containers: { one: '{count} container', other: '{count} containers' },
  removeCount: { one: 'Remove {count} container', other: 'Remove {count} containers' },
  force: 'Kill those that run',
  volumes: 'Remove their anonymous volumes, too',
  alreadyRunning: 'it runs already',
  notRunning: 'it does not run',
  isPaused: 'it is paused',
  notPaused: 'it is not paused',
});

export const actionLabel: Record<ContainerAction, string> = {
  start: t('start'),
  stop: t('stop'),
  restart: t('restart'),
  kill: t('kill'),
  pause: t('pause'),
  unpause: t('unpause'),
  remove: t('remove'),
};

/** Why an action makes no sense in this state, or nothing. The engine is the judge; this spares a useless try. */
export function disabledReason(
  action: ContainerAction,
  { state }: Pick<ContainerSummary, 'state'>,
): string | undefined {
  const runs = state === 'running' || state === 'restarting';
  switch (action) {
    case 'start':
      return runs ? t('alreadyRunning') : state === 'paused' ? t('isPaused') : undefined;
    case 'stop':
    case 'kill':
      return runs || state === 'paused' ? undefined : t('notRunning');
    case 'pause':
      return state === 'paused' ? t('isPaused') : state === 'running' ? undefined : t('notRunning');
    case 'unpause':
      return state === 'paused' ? undefined : t('notPaused');
    default:
      return undefined;
  }
}

type Target = Pick<ContainerSummary, 'engine' | 'id' | 'name' | 'state'>;
export type BulkOutcome = { done: readonly Target[]; refused: readonly { target: Target; result: BulkItemResult }[] };

async function runAction(action: Exclude<ContainerAction, 'remove'>, target: Target): Promise<void> {
  const params = { path: { engine: target.engine, container: target.id } };
  const base = '/api/v1/engines/{engine}/containers/{container}';
  switch (action) {
    case 'start':
      return void (await api.POST(`${base}/start`, { params }));
    case 'stop':
      return void (await api.POST(`${base}/stop`, { params, body: {} }));
    case 'restart':
      return void (await api.POST(`${base}/restart`, { params, body: {} }));
    case 'kill':
      return void (await api.POST(`${base}/kill`, { params, body: {} }));
    case 'pause':
      return void (await api.POST(`${base}/pause`, { params }));
    case 'unpause':
      return void (await api.POST(`${base}/unpause`, { params }));
  }
}

function byEngine(targets: readonly Target[]): ReadonlyMap<string, readonly Target[]> {
  const groups = new Map<string, Target[]>();
  for (const target of targets) groups.set(target.engine, [...(groups.get(target.engine) ?? []), target]);
  return groups;
}

async function runBulk(
  action: ContainerAction,
  targets: readonly Target[],
  tokens: ReadonlyMap<string, string> = new Map(),
): Promise<BulkOutcome> {
  const answers = await Promise.all(
    [...byEngine(targets)].map(async ([engine, group]) => {
      const token = tokens.get(engine);
      const { results } = await unwrap(
        api.POST('/api/v1/engines/{engine}/containers/actions', {
          params: { path: { engine } },
          body: { action, ids: group.map(({ id }) => id), ...(token ? { preview_token: token } : {}) },
        }),
      );
      return { group, results };
    }),
  );
  const done: Target[] = [];
  const refused: { target: Target; result: BulkItemResult }[] = [];
  for (const { group, results } of answers) {
    for (const target of group) {
      const result = results.find(({ id, name }) => id === target.id || bareName(name) === target.name);
      if (!result || result.ok) done.push(target);
      else refused.push({ target, result });
    }
  }
  return { done, refused };
}

async function previewRemoval(
  targets: readonly Target[],
  options: ReadonlySet<string>,
  tokens: Map<string, string>,
): Promise<Preview> {
  const previews = await Promise.all(
    [...byEngine(targets)].map(async ([engine, group]) => {
      const preview = await unwrap(
        api.POST('/api/v1/engines/{engine}/containers/preview', {
          params: { path: { engine } },
          body: { ids: group.map(({ id }) => id), force: options.has('force'), volumes: options.has('volumes') },
        }),
      );
      tokens.set(engine, preview.token);
      return preview;
    }),
  );
  const [first] = previews;
  if (!first) throw new Error('nothing to remove');
  if (previews.length === 1) return first;
  return {
    ...first,
    items: previews.flatMap(({ items }) => items),
    count: previews.reduce((sum, { count }) => sum + count, 0),
    freed_bytes: previews.reduce((sum, { freed_bytes: freed }) => sum + (freed ?? 0), 0),
    warnings: [...new Set(previews.flatMap(({ warnings }) => warnings))],
    type_to_confirm: true,
  };
}

export type ContainerActions = {
  pending: boolean;
  /** Does it, asking first where something is interrupted or lost. */
  run: (action: ContainerAction, target: Target, onDone?: () => void) => void;
  runAll: (action: ContainerAction, targets: readonly Target[], onOutcome: (outcome: BulkOutcome) => void) => void;
};

/** What can be done to containers, with the questions, messages and refreshes that belong to it. */
export function useContainerActions(): ContainerActions {
  const { act, pending } = useAction();
  return useMemo(() => {
    const refresh = (target: Target) => [[target.engine, 'containers', target.id]] as const;
    const once = (action: Exclude<ContainerAction, 'remove'>, target: Target): Promise<boolean> => {
      const { name } = target;
      const done = {
        start: t('started', { name }),
        stop: t('stopped', { name }),
        restart: t('restarted', { name }),
        kill: t('killed', { name }),
        pause: t('paused', { name }),
        unpause: t('unpaused', { name }),
      }[action];
      const undo = action === 'stop' ? { label: t('startAgain'), run: () => void once('start', target) } : undefined;
      return act(() => runAction(action, target), { done, undo, invalidate: refresh(target) });
    };
    const remove = (targets: readonly Target[], title: string, onOutcome: (outcome: BulkOutcome) => void): void => {
      const tokens = new Map<string, string>();
      const engines = [...byEngine(targets).keys()];
      const where = engines.length === 1 ? engineName(engines[0] ?? '') : t('both');
      confirmLoss({
        title,
        verb: targets.length === 1 ? t('removeVerb', { engine: where }) : t('removeCount', { count: targets.length }),
        options: [
          { id: 'force', label: t('force'), on: targets.some(({ state }) => !disabledReason('kill', { state })) },
          { id: 'volumes', label: t('volumes'), on: false },
        ],
        load: (options) => previewRemoval(targets, options, tokens),
        perform: async () => onOutcome(await runBulk('remove', targets, tokens)),
      });
    };
    const ask = (action: ContainerAction, name: string, engine: string, perform: () => Promise<void>): void => {
      confirmAct({
        title: action === 'kill' ? t('killTitle', { name, engine }) : t('restartTitle', { name, engine }),
        body: action === 'kill' ? t('killBody') : t('restartBody'),
        verb: actionLabel[action],
        perform,
      });
    };
    return {
      pending,
      run: (action, target, onDone) => {
        const engine = engineName(target.engine);
        if (action === 'remove') {
          const title = t('removeTitle', { name: target.name, engine });
          remove([target], title, ({ refused }) => {
            const problem = refused[0]?.result.problem;
            if (problem) throw new Error(problem.detail);
            toast('ok', t('removed', { name: target.name }));
            onDone?.();
          });
        } else if (action === 'restart' || action === 'kill') {
          ask(action, target.name, engine, async () => {
            if (await once(action, target)) onDone?.();
          });
        } else {
          void once(action, target).then((done) => done && onDone?.());
        }
      },
      runAll: (action, targets, onOutcome) => {
        const engines = [...byEngine(targets).keys()];
        const engine = engines.length === 1 ? engineName(engines[0] ?? '') : t('both');
        const name = targets.length === 1 ? (targets[0]?.name ?? '') : t('containers', { count: targets.length });
        const perform = async (): Promise<void> => {
          await act(async () => onOutcome(await runBulk(action, targets)), { invalidate: targets.flatMap(refresh) });
        };
        if (action === 'remove') remove(targets, t('removeTitle', { name, engine }), onOutcome);
        else if (action === 'restart' || action === 'kill') ask(action, name, engine, perform);
        else void perform();
      },
    };
  }, [act, pending]);
}
