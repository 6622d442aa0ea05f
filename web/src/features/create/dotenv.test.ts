import { expect, it } from 'vitest';

import { hasImage } from './image.ts';
import { parseDotenv } from './dotenv.ts';

it('a .env file is read with quotes, comments and exports', () => {
  const text = `# comment\nexport A=1 # why\nB="two\\nlines"\nC='as # is'\nA=2\n\nnot a line\nD=`;
  expect(parseDotenv(text)).toEqual({
    variables: [
      { key: 'A', value: '2' },
      { key: 'B', value: 'two\nlines' },
      { key: 'C', value: 'as # is' },
      { key: 'D', value: '' },
    ],
    skipped: 1,
  });
});

it('an image is known by short and full name, digest and id', () => {
  const id = 'ab'.repeat(32);
  const images = [
    {
      engine: 'docker' as const,
      id: `sha256:${id}`,
      tags: ['busybox:latest'],
      digests: [],
      size_bytes: 1,
      used_by: [],
      labels: {},
    },
  ];
  for (const name of ['busybox', ' docker.io/library/busybox:latest', id.slice(0, 12), `sha256:${id}`])
    expect(hasImage(images, name), name).toBe(true);
  for (const name of ['busybox:1', 'other', 'ab']) expect(hasImage(images, name), name).toBe(false);
});
