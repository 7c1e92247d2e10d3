const MAX_SENTENCES = 1000

/** Collects problems up to a limit, and counts all. */
export class FsckProblems {
  readonly sentences: string[] = []
  count = 0

  add(sentence: string): void {
    this.count++
    if (this.sentences.length < MAX_SENTENCES) this.sentences.push(sentence)
  }
}
