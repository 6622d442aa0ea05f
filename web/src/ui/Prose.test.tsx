// @vitest-environment jsdom
import { render } from '@testing-library/react';
import { expect, it } from 'vitest';

import { plainProse, Prose } from './Prose.tsx';

it('what is typed is shown as code, and nothing as markup', () => {
  const { container } = render(<Prose text="start it with `a <b>` as root" />);
  expect(container.querySelector('code')).toHaveTextContent('a <b>');
  expect(container.querySelector('b')).toBeNull();
  expect(plainProse('with `a`')).toBe('with a');
});
