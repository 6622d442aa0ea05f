import { expect, it } from 'vitest';

import { errorList, fieldLabel, isField } from './errors.ts';
import { fieldOf, requestOf, runLine } from './request.ts';
import { EMPTY, schema, type Values } from './schema.ts';

const values: Values = {
  ...EMPTY,
  engine: 'mini',
  image: ' containeros/starter ',
  name: 'web',
  command: "sh -c 'sleep 1'",
  ports: [{ hostIp: '127.0.0.1', hostPort: '8080', containerPort: '80', protocol: 'tcp' }],
  mounts: [
    { kind: 'volume', source: 'data', target: '/data', readOnly: true },
    { kind: 'tmpfs', source: '16m', target: '/tmp', readOnly: false },
  ],
  env: [{ key: 'A', value: 'b c' }],
  memory: '64m',
  cpus: '.5',
  pids: '32',
  restart: 'on_failure',
  retries: '3',
};

it('the form becomes the request of the server', () => {
  expect(requestOf(values, true)).toMatchObject({
    image: 'containeros/starter',
    command: ['sh', '-c', 'sleep 1'],
    ports: [{ container_port: 80, host_port: 8080, host_ip: '127.0.0.1' }],
    mounts: [
      { kind: 'volume', source: 'data' },
      { kind: 'tmpfs', source: null, size_bytes: 16 * 1024 ** 2 },
    ],
    limits: { memory_bytes: 64 * 1024 ** 2, cpus: 0.5, pids: 32 },
    restart_policy: { name: 'on_failure', maximum_retry_count: 3 },
    start: true,
  });
  expect(requestOf(EMPTY, false)).toMatchObject({ name: null, command: null, limits: { memory_bytes: null } });
});

it('the command line does the same as the request', () => {
  expect(runLine(requestOf(values, true), 'mini', 'unix:///m.sock')).toBe(
    "docker -H unix:///m.sock run -d --name web -p 127.0.0.1:8080:80 -v data:/data:ro --tmpfs /tmp:size=16m -e 'A=b c' " +
      "-m 64m --cpus 0.5 --pids-limit 32 --restart on-failure:3 containeros/starter sh -c 'sleep 1'",
  );
  expect(runLine(requestOf(EMPTY, false), 'docker', undefined)).toBe('docker create IMAGE');
});

it('what is wrong is said at its field, under the name that the form gives it', () => {
  const wrong = schema.safeParse({
    ...values,
    image: 'Not An Image',
    memory: '1k',
    cpus: '-1',
    pids: '0',
    command: "it's",
    ports: [{ hostIp: '', hostPort: '99999', containerPort: '', protocol: 'tcp' }],
    mounts: [{ kind: 'bind', source: 'relative', target: 'x', readOnly: false }],
    env: [{ key: 'a=b', value: '' }],
  });
  expect(new Set(wrong.error?.issues.map(({ path }) => path.join('.')))).toEqual(
    new Set([
      'image',
      'command',
      'memory',
      'cpus',
      'pids',
      'ports.0.hostPort',
      'ports.0.containerPort',
      'mounts.0.target',
      'env.0.key',
      'mounts.0.source',
    ]),
  );
  expect(schema.safeParse(values).success).toBe(true);
  expect(fieldLabel('memory')).toBe('Memory');
  expect(fieldLabel('ports.1.hostPort')).toBe('Ports 2, Host port');
});

it("the server's fields are the form's", () => {
  expect(fieldOf({ field: 'ports[0].host_port' })).toBe('ports.0.hostPort');
  expect(fieldOf({ field: 'limits.memory_bytes' })).toBe('memory');
  expect(isField('ports.0.hostPort')).toBe(true);
  expect(isField('ulimits')).toBe(false);
});

it('errors of rows are found however deep', () => {
  const found = errorList({ ports: [{ hostPort: { type: 'x', message: 'in use' } }] });
  expect(found).toEqual([{ name: 'ports.0.hostPort', message: 'in use' }]);
});
