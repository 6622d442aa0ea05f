import type { Problem } from './schema.gen.ts';

/** What the server said when it refused, or what stands for it when it said nothing. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail);
    this.problem = problem;
  }
}

function isProblem(value: unknown): value is Problem {
  return typeof value === 'object' && value !== null && 'code' in value && 'detail' in value && 'status' in value;
}

/** The problem in an answer's body; a proxy's page or an empty body becomes one, too. */
export function problemOf(body: unknown, response: Response): Problem {
  if (isProblem(body)) return body;
  return {
    type: 'about:blank',
    title: response.statusText,
    status: response.status,
    code: response.status === 404 ? 'not_found' : 'internal',
    detail: `The server answered ${String(response.status)} ${response.statusText}`.trim(),
    request_id: response.headers.get('x-request-id') ?? '',
  };
}

/** The problem that any thrown value stands for. */
export function problemFrom(error: unknown): Problem {
  if (error instanceof ApiError) return error.problem;
  const offline = error instanceof TypeError;
  return {
    type: 'about:blank',
    title: 'Unavailable',
    status: 0,
    code: offline ? 'unavailable' : 'internal',
    detail: offline ? 'The server cannot be reached.' : String(error instanceof Error ? error.message : error),
    request_id: '',
    ...(offline ? { hint: 'Check that containeros is running; the page reconnects by itself.' } : {}),
  };
}

export function isNotFound(error: unknown): boolean {
  return error instanceof ApiError && error.problem.status === 404;
}
