import { QueryClient } from '@tanstack/react-query';

import { ApiError } from './errors.ts';

/** What the engine refuses will be refused again; only lost connections are worth another try. */
function retry(count: number, error: Error): boolean {
  if (error instanceof ApiError && error.problem.status < 500) return false;
  return count < 2;
}

export const queryClient = new QueryClient({
  defaultOptions: {
    // The server may be on this very machine, which needs no network: the browser's word for being offline means nothing.
    queries: { retry, staleTime: 5000, refetchOnWindowFocus: false, refetchOnReconnect: false, networkMode: 'always' },
    mutations: { networkMode: 'always' },
  },
});
