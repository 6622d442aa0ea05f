import type { ReactNode } from 'react';

export function InsideTab(): ReactNode {
  return null;
}
