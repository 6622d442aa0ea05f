// @vitest-environment jsdom
import { afterEach, expect, it } from 'vitest';

import { catalogue, setTranslation } from './i18n.ts';

const t = catalogue('test', { hello: 'Hello {name}', lines: { one: '{count} line', other: '{count} lines' } });

afterEach(() => setTranslation('en', {}));

it('fills in parameters and chooses the form of a number', () => {
  expect(t('hello', { name: '<b>' })).toBe('Hello <b>');
  expect(t('lines', { count: 1 })).toBe('1 line');
  expect(t('lines', { count: 1204 })).toBe('1,204 lines');
});

it('a translation replaces what it has; the rest stays English', () => {
  setTranslation('de', { test: { hello: 'Hallo {name}' } });
  expect(t('hello', { name: 'Ana' })).toBe('Hallo Ana');
  expect(t('lines', { count: 1204 })).toBe('1.204 lines');
  expect(document.documentElement.lang).toBe('de');
});
