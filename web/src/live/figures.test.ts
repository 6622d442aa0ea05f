import { expect, it } from 'vitest';

import { point } from '@/test-data.ts';

import { ContainerFigures } from './figures.ts';

it('history goes before what came live, and nothing is there twice', () => {
  const figures = new ContainerFigures();
  const cpu = figures.source('cpu');
  figures.take(point(10, { cpu_percent: 10 }));
  figures.take(point(11, { cpu_percent: 11 }));
  figures.take(point(11, { cpu_percent: 99 }));
  figures.seed([8, 9, 10].map((time) => point(time, { cpu_percent: time })));
  expect(cpu.values()).toEqual([8, 9, 10, 11]);
  expect(figures.last?.cpu_percent).toBe(11);
});

it('what is not known any more is a hole, not the last value', () => {
  const figures = new ContainerFigures();
  figures.take(point(1, { cpu_percent: 5 }));
  figures.lose();
  figures.lose();
  expect(figures.last).toBeNull();
  expect(figures.source('cpu').values()).toEqual([5, Number.NaN]);
});
