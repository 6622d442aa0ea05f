import createClient from 'openapi-fetch';

import { ApiError, problemOf } from './errors.ts';
import type { paths } from './schema.gen.ts';

let onUnauthenticated: () => void = () => undefined;

/** Says what happens when the server no longer knows the session. */
export function setUnauthenticatedHandler(handler: () => void): void {
  onUnauthenticated = handler;
}

/** The typed client of the REST interface. Throws `ApiError`; `unwrap` gives the body. */
export const api = createClient<paths>({
  baseUrl: window.location.origin,
  credentials: 'same-origin',
  // Found at call time, so that tests may replace it.
  fetch: (request) => globalThis.fetch(request),
});

api.use({
  async onResponse({ request, response }) {
    if (response.ok) return;
    const body: unknown = await response
      .clone()
      .json()
      .catch(() => null);
    const problem = problemOf(body, response);
    if (problem.code === 'unauthenticated' && !request.url.includes('/auth/')) onUnauthenticated();
    throw new ApiError(problem);
  },
});

/** The body of an answer that succeeded. */
export async function unwrap<T>(call: Promise<{ data?: T | undefined }>): Promise<T> {
  const { data } = await call;
  // 204 has no body, and `T` is then `undefined` or `never`; failures have thrown already.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return data as T;
}
