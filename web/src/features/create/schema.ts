import * as z from 'zod/mini';

import { splitWords } from '@/lib/shell.ts';
import { parseSize } from '@/lib/units.ts';

import { t } from './messages.ts';

// Early hints only: the server is the judge, and its errors are shown at the same fields.

const MINIMUM_MEMORY = 6 * 1024 * 1024;
const IMAGE =
  /^(sha256:[0-9a-f]{64}|[A-Za-z0-9][\w.-]*(:\d+)?(\/[a-z0-9][a-z0-9._-]*)*(:[\w][\w.-]{0,127})?(@sha(256|512):[0-9a-f]+)?)$/;
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

const optional = (check: (text: string) => boolean, message: string) =>
  z.string().check(z.refine((text) => text.trim() === '' || check(text.trim()), message));
const needed = (check: (text: string) => boolean, message: string) =>
  z.string().check(
    z.refine((text) => text.trim() !== '', t('errNeeded')),
    z.refine((text) => text.trim() === '' || check(text.trim()), message),
  );

function isPort(text: string): boolean {
  const port = Number(text);
  return /^\d+$/.test(text) && port >= 1 && port <= 65_535;
}
const isWhole = (text: string): boolean => /^\d+$/.test(text) && Number(text) > 0;
const isAbsolute = (text: string): boolean => text.startsWith('/');

const port = z.object({
  hostIp: z.string(),
  hostPort: optional(isPort, t('errPort')),
  containerPort: needed(isPort, t('errPort')),
  protocol: z.enum(['tcp', 'udp', 'sctp']),
});

const mount = z
  .object({
    kind: z.enum(['volume', 'bind', 'tmpfs']),
    source: z.string(),
    target: needed(isAbsolute, t('errPath')),
    readOnly: z.boolean(),
  })
  .check((context) => {
    const { kind, source } = context.value;
    const issue = (message: string): void =>
      void context.issues.push({ code: 'custom', message, input: source, path: ['source'] });
    if (kind === 'bind' && !isAbsolute(source.trim())) issue(t('errPath'));
    if (kind === 'tmpfs' && source.trim() && parseSize(source) === null) issue(t('errSize'));
    if (kind === 'volume' && source.trim() && !NAME.test(source.trim())) issue(t('errName'));
  });

export const schema = z.object({
  engine: z.string(),
  image: needed((text) => IMAGE.test(text), t('errImage')),
  name: optional((text) => NAME.test(text), t('errName')),
  command: z.string().check(z.refine((line) => splitWords(line) !== null, t('errQuote'))),
  ports: z.array(port),
  mounts: z.array(mount),
  env: z.array(z.object({ key: needed((text) => !/[=\s]/.test(text), t('errEnv')), value: z.string() })),
  memory: z.string().check(
    z.refine((text) => text.trim() === '' || parseSize(text) !== null, t('errSize')),
    z.refine((text) => (parseSize(text) ?? MINIMUM_MEMORY) >= MINIMUM_MEMORY, t('errMemory')),
  ),
  cpus: optional((text) => /^\d*\.?\d+$/.test(text) && Number(text) > 0, t('errCpus')),
  pids: optional(isWhole, t('errCount')),
  restart: z.enum(['no', 'on_failure', 'unless_stopped', 'always']),
  retries: optional(isWhole, t('errCount')),
  hostname: z.string(),
  user: z.string(),
  workingDir: optional(isAbsolute, t('errPath')),
  network: z.string(),
  tty: z.boolean(),
  init: z.boolean(),
  autoRemove: z.boolean(),
  readOnlyRootfs: z.boolean(),
});

export type Values = z.infer<typeof schema>;

export const EMPTY: Values = {
  engine: '',
  image: '',
  name: '',
  command: '',
  ports: [],
  mounts: [],
  env: [],
  memory: '',
  cpus: '',
  pids: '',
  restart: 'no',
  retries: '',
  hostname: '',
  user: '',
  workingDir: '',
  network: '',
  tty: false,
  init: false,
  autoRemove: false,
  readOnlyRootfs: false,
};
