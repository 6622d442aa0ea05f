import type { ReactNode } from 'react';

export function InspectTab(): ReactNode {
  return null;
}
