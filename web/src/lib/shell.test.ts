import { expect, it } from 'vitest';

import { dockerCommand, quote, splitWords } from './shell.ts';

it('words are split as a shell does it', () => {
  expect(splitWords('sh -c "echo \\"a b\\" $HOME"')).toEqual(['sh', '-c', 'echo "a b" $HOME']);
  expect(splitWords("printf '%s\\n' a\\ b ''")).toEqual(['printf', '%s\\n', 'a b', '']);
  expect(splitWords('  ')).toEqual([]);
  expect(splitWords("it's open")).toBeNull();
});

it('what is quoted is read back unchanged', () => {
  for (const word of ['', 'plain', 'a b', "it's", '$HOME', '`id`', 'a\nb', '"', '\\', '--x=y;rm']) {
    expect(splitWords(quote(word))).toEqual([word]);
  }
});

it('a command for Mini names its socket, one for Docker none', () => {
  expect(dockerCommand('docker', 'unix:///x', ['stop', 'a b'])).toBe("docker stop 'a b'");
  expect(dockerCommand('mini', 'unix:///run/m.sock', ['ps'])).toBe('docker -H unix:///run/m.sock ps');
});
