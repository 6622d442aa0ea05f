import type { FieldErrors, FieldPath } from 'react-hook-form';

import { t } from './messages.ts';
import { EMPTY, type Values } from './schema.ts';

type Found = { name: string; message: string };

function collect(value: unknown, name: string, found: Found[]): void {
  if (typeof value !== 'object' || value === null) return;
  if ('message' in value && typeof value.message === 'string' && 'type' in value) {
    found.push({ name, message: value.message });
    return;
  }
  for (const [key, child] of Object.entries(value))
    if (key !== 'ref') collect(child, name ? `${name}.${key}` : key, found);
}

/** All errors of the form, each with its field's name, in the order of the fields. */
export function errorList(errors: FieldErrors<Values>): readonly Found[] {
  const found: Found[] = [];
  collect(errors, '', found);
  return found;
}

/** How many errors are in these fields. */
export function errorCount(errors: FieldErrors<Values>, fields: readonly (keyof Values)[]): number {
  return errorList(errors).filter(({ name }) => fields.some((field) => name === field || name.startsWith(`${field}.`)))
    .length;
}

/** Whether the form has this field; the server may speak of one that it has not. */
export function isField(name: string): name is FieldPath<Values> {
  return name in EMPTY || /^(ports|mounts|env)\.\d+\.\w+$/.test(name);
}

const ROWS: Readonly<Record<string, string>> = { ports: t('ports'), mounts: t('storage'), env: t('env') };
const LABELS: Readonly<Record<string, string>> = {
  engine: t('engine'),
  image: t('image'),
  name: t('name'),
  command: t('command'),
  hostIp: t('hostIp'),
  hostPort: t('hostPort'),
  containerPort: t('containerPort'),
  protocol: t('protocol'),
  kind: t('kind'),
  source: t('source'),
  target: t('target'),
  key: t('key'),
  value: t('value'),
  memory: t('memory'),
  cpus: t('cpus'),
  pids: t('pids'),
  restart: t('restart'),
  retries: t('retries'),
  hostname: t('hostname'),
  user: t('user'),
  workingDir: t('workingDir'),
  network: t('network'),
  tty: t('tty'),
  init: t('init'),
  autoRemove: t('autoRemove'),
  readOnlyRootfs: t('readOnlyRootfs'),
};

/** What the form calls a field: `Memory`, `Ports 1, Host port`. */
export function fieldLabel(name: string): string {
  const [first = '', index, field] = name.split('.');
  if (index === undefined || field === undefined) return LABELS[first] ?? first;
  return `${ROWS[first] ?? first} ${String(Number(index) + 1)}, ${LABELS[field] ?? field}`;
}
