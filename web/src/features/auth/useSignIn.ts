import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useState } from 'react';

import { api, unwrap } from '@/api/client.ts';
import { problemFrom } from '@/api/errors.ts';
import { sessionQuery } from '@/api/queries.ts';
import type { Problem } from '@/api/schema.gen.ts';

/** Signs in and keeps the refusal, with the seconds that a lock-out has left. */
export function useSignIn(): {
  problem: Problem | null;
  pending: boolean;
  lockedFor: number;
  /** Sends a code too, when the account asked for one. */
  signIn: (name: string, password: string, code?: string) => Promise<boolean>;
} {
  const client = useQueryClient();
  const [problem, setProblem] = useState<Problem | null>(null);
  const [pending, setPending] = useState(false);
  const [lockedFor, setLockedFor] = useState(0);
  const locked = lockedFor > 0;
  useEffect(() => {
    if (!locked) return undefined;
    const timer = setInterval(() => setLockedFor((left) => Math.max(0, left - 1)), 1000);
    return () => clearInterval(timer);
  }, [locked]);

  const signIn = async (name: string, password: string, code?: string): Promise<boolean> => {
    setPending(true);
    setProblem(null);
    try {
      await unwrap(api.POST('/api/v1/auth/login', { body: { name, password, ...(code && { code }) } }));
      await client.fetchQuery({ ...sessionQuery, staleTime: 0 });
      return true;
    } catch (error) {
      const refused = problemFrom(error);
      setProblem(refused);
      setLockedFor(refused.retry_after_s ?? 0);
      return false;
    } finally {
      setPending(false);
    }
  };
  return { problem, pending, lockedFor, signIn };
}
