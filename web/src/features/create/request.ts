import type { ContainerCreateRequest, FieldError, MountRequest, PortRequest } from '@/api/schema.gen.ts';
import { dockerCommand, splitWords } from '@/lib/shell.ts';
import { parseSize, shortSize } from '@/lib/units.ts';

import type { Values } from './schema.ts';

function text(value: string): string | null {
  return value.trim() || null;
}

function count(value: string): number | null {
  const number = Number(value);
  return value.trim() && Number.isFinite(number) ? number : null;
}

function portOf({ hostIp, hostPort, containerPort, protocol }: Values['ports'][number]): PortRequest {
  return { container_port: count(containerPort) ?? 0, host_port: count(hostPort), host_ip: text(hostIp), protocol };
}

function mountOf({ kind, source, target, readOnly }: Values['mounts'][number]): MountRequest {
  const memory = kind === 'tmpfs';
  return {
    kind,
    source: memory ? null : text(source),
    target: target.trim(),
    read_only: readOnly,
    size_bytes: memory ? parseSize(source) : null,
  };
}

/** What the form says, as the server takes it. */
export function requestOf(values: Values, start: boolean): ContainerCreateRequest {
  const command = splitWords(values.command) ?? [];
  return {
    name: text(values.name),
    image: values.image.trim(),
    command: command.length > 0 ? command : null,
    env: values.env.map(({ key, value }) => ({ key: key.trim(), value })),
    ports: values.ports.map(portOf),
    mounts: values.mounts.map(mountOf),
    limits: { memory_bytes: parseSize(values.memory), cpus: count(values.cpus), pids: count(values.pids) },
    restart_policy: {
      name: values.restart,
      maximum_retry_count: values.restart === 'on_failure' ? count(values.retries) : null,
    },
    hostname: text(values.hostname),
    user: text(values.user),
    working_dir: text(values.workingDir),
    network: text(values.network),
    tty: values.tty,
    open_stdin: values.tty,
    init: values.init,
    auto_remove: values.autoRemove,
    read_only_rootfs: values.readOnlyRootfs,
    start,
  };
}

function publish({ host_ip: ip, host_port: host, container_port: inside, protocol }: PortRequest): string {
  const address = ip?.includes(':') ? `[${ip}]` : ip;
  const outside = [address, host ?? (address ? '' : null)]
    .filter((part) => part !== null && part !== undefined)
    .join(':');
  return `${outside ? `${outside}:` : ''}${String(inside)}${!protocol || protocol === 'tcp' ? '' : `/${protocol}`}`;
}

function mountFlags({ kind, source, target, read_only: readOnly, size_bytes: size }: MountRequest): readonly string[] {
  if (kind === 'tmpfs') {
    const options = [readOnly && 'ro', size && `size=${shortSize(size)}`].filter(Boolean).join(',');
    return ['--tmpfs', `${target ?? ''}${options ? `:${options}` : ''}`];
  }
  return ['-v', [source, target, readOnly && 'ro'].filter(Boolean).join(':')];
}

/** The `docker run` (or `create`) line that does the same as the request. */
export function runLine(request: ContainerCreateRequest, engine: string, endpoint: string | undefined): string {
  const { limits = {}, restart_policy: policy = {} } = request;
  const flag = (name: string, value: string | number | null | undefined): readonly string[] =>
    value === null || value === undefined || value === '' ? [] : [name, String(value)];
  const restart = policy.name && policy.name !== 'no' ? policy.name.replace('_', '-') : null;
  const args = [
    ...(request.start ? ['run', '-d'] : ['create']),
    ...flag('--name', request.name),
    ...(request.tty ? ['-it'] : []),
    ...(request.init ? ['--init'] : []),
    ...(request.auto_remove ? ['--rm'] : []),
    ...(request.read_only_rootfs ? ['--read-only'] : []),
    ...(request.ports ?? []).flatMap((port) => ['-p', publish(port)]),
    ...(request.mounts ?? []).flatMap(mountFlags),
    ...(request.env ?? []).flatMap(({ key, value }) => ['-e', `${key}=${value}`]),
    ...flag('-m', limits.memory_bytes ? shortSize(limits.memory_bytes) : null),
    ...flag('--cpus', limits.cpus),
    ...flag('--pids-limit', limits.pids),
    ...flag(
      '--restart',
      restart && (policy.maximum_retry_count ? `${restart}:${String(policy.maximum_retry_count)}` : restart),
    ),
    ...flag('--hostname', request.hostname),
    ...flag('--user', request.user),
    ...flag('--workdir', request.working_dir),
    ...flag('--network', request.network),
    request.image || 'IMAGE',
    ...(request.command ?? []),
  ];
  return dockerCommand(engine, endpoint, args);
}

const FIELDS: Readonly<Record<string, string>> = {
  host_ip: 'hostIp',
  host_port: 'hostPort',
  container_port: 'containerPort',
  read_only: 'readOnly',
  size_bytes: 'source',
  'limits.memory_bytes': 'memory',
  'limits.cpus': 'cpus',
  'limits.pids': 'pids',
  'restart_policy.name': 'restart',
  restart_policy: 'restart',
  'restart_policy.maximum_retry_count': 'retries',
  working_dir: 'workingDir',
  auto_remove: 'autoRemove',
  read_only_rootfs: 'readOnlyRootfs',
};

/** The form's field that a server's error is about: `ports[0].host_port` is `ports.0.hostPort`. */
export function fieldOf({ field }: Pick<FieldError, 'field'>): string {
  const known = FIELDS[field];
  if (known) return known;
  return field
    .replaceAll(/\[(\d+)\]/g, '.$1')
    .split('.')
    .map((part) => FIELDS[part] ?? part)
    .join('.');
}
