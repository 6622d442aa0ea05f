import { type QueryKey, useQueryClient } from '@tanstack/react-query';
import { useCallback, useState } from 'react';

import { toast } from '@/ui/toasts.ts';

import { problemFrom } from './errors.ts';
import { catalogue } from '@/lib/i18n.ts';

const t = catalogue('action', { request: 'request {id}' });

/** Shows why an act did not work, in the server's words. */
export function toastProblem(error: unknown): void {
  const problem = problemFrom(error);
  const detail = [problem.hint, problem.request_id && t('request', { id: problem.request_id })]
    .filter(Boolean)
    .join(' · ');
  toast('error', problem.detail, { detail: detail || undefined });
}

type Options = {
  /** What the toast says when it worked; without it the changed page says enough. */
  done?: string | undefined;
  /** What the server may answer differently now. */
  invalidate?: readonly QueryKey[] | undefined;
  undo?: { label: string; run: () => void } | undefined;
};

/** Runs writes: tells that one is under way, shows the server's error, and refreshes what it changed. */
export function useAction(): {
  act: (run: () => Promise<unknown>, options?: Options) => Promise<boolean>;
  pending: boolean;
} {
  const client = useQueryClient();
  const [count, setCount] = useState(0);
  const act = useCallback(
    async (run: () => Promise<unknown>, { done, invalidate, undo }: Options = {}): Promise<boolean> => {
      setCount((before) => before + 1);
      try {
        await run();
        if (done) toast('ok', done, { action: undo });
        return true;
      } catch (error) {
        toastProblem(error);
        return false;
      } finally {
        setCount((before) => before - 1);
        for (const queryKey of invalidate ?? []) void client.invalidateQueries({ queryKey: [...queryKey] });
      }
    },
    [client],
  );
  return { act, pending: count > 0 };
}
