import { catalogue } from '@/lib/i18n.ts';

export const t = catalogue('inspect', {
  search: 'Search keys and values',
  raw: 'Raw JSON',
  tree: 'Tree',
  copyAll: 'everything as JSON',
  copyPath: 'path {path}',
  hits: { one: '{count} match', other: '{count} matches' },
  cannotLoad: 'The engine’s answer cannot be shown',
  entries: { one: '{count} entry', other: '{count} entries' },
  secrets: 'Values that look like secrets are masked by the server.',
});
