import { expect, it } from 'vitest';

import { paths } from './paths.ts';

it('every address of the page is known', () => {
  expect({
    dashboard: paths.dashboard(),
    setup: paths.setup(),
    login: paths.login(),
    loginNext: paths.login('/containers?q=a'),
    containers: paths.containers(),
    containersOf: paths.containers({ q: 'label:a=b', state: 'running', engine: 'mini' }),
    containerNew: paths.containerNew({ engine: 'mini', image: 'a/b:c' }),
    container: paths.container('mini', 'abc'),
    containerLogs: paths.container('mini', 'abc', 'logs'),
    images: paths.images({ q: 'x' }),
    volumes: paths.volumes(),
    compare: paths.compare('r1'),
    settings: paths.settings(),
  }).toMatchInlineSnapshot(`
    {
      "compare": "/compare?run=r1",
      "container": "/containers/mini/abc",
      "containerLogs": "/containers/mini/abc/logs",
      "containerNew": "/containers/new?engine=mini&image=a%2Fb%3Ac",
      "containers": "/containers",
      "containersOf": "/containers?q=label%3Aa%3Db&state=running&engine=mini",
      "dashboard": "/",
      "images": "/images?q=x",
      "login": "/login",
      "loginNext": "/login?next=%2Fcontainers%3Fq%3Da",
      "settings": "/settings",
      "setup": "/setup",
      "volumes": "/volumes",
    }
  `);
});

it('ids and names cannot leave their place in an address', () => {
  expect(paths.container('docker', '../../login?next=//evil')).toBe(
    '/containers/docker/..%2F..%2Flogin%3Fnext%3D%2F%2Fevil',
  );
});
