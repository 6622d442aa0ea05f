import { Fragment, type ReactNode } from 'react';

/** A sentence of the server, in which `backticks` mark what is typed or read literally. */
export function Prose({ text }: { text: string }): ReactNode {
  return text.split('`').map((part, index) =>
    index % 2 === 1 ? (
      <code key={index} className="mono rounded-control bg-inset px-1 break-words">
        {part}
      </code>
    ) : (
      <Fragment key={index}>{part}</Fragment>
    ),
  );
}

/** The same for titles and tooltips, which hold nothing but text. */
export function plainProse(text: string): string {
  return text.replaceAll('`', '');
}
