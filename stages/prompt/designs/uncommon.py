"""Uncommon English words for the swap probes of Poudel et al.: real, and about nothing here.

The paper does not list its words. These name no shape, size, number, place, colour, tissue or
disease, and none is part of another prompt's vocabulary.
"""

from __future__ import annotations

_TEXT = """
abacus alcove almanac amulet anvil apiary archduke armada ballad bassoon bayou bellows bivouac
bobbin bouquet brigand bungalow buttress caboose cadence calypso canopy caravan cartographer
catapult chalice charade chivalry citadel clarinet clavichord cobbler concierge conundrum
cordwainer covenant cravat crinoline cupola curfew cymbal dalliance derby dirigible dowry
ebullience edict effigy elixir embargo emissary epigram epistle equinox espionage falconry
fandango fedora festoon filibuster fjord folklore frigate gargoyle gazebo gazette gondola
gramophone griffin guild haberdasher hammock harbinger harpsichord heirloom hieroglyph
hinterland homily hullabaloo idyll improviso isthmus jamboree javelin juggernaut kaleidoscope
ketch kiosk lagoon lantern larder lexicon libretto limerick locomotive lullaby madrigal
mandolin marionette maverick menagerie minstrel minuet monsoon moratorium mythology nocturne
oasis odyssey omnibus onomatopoeia oratorio outpost palindrome pantomime parable parasol parka
parliament pendulum periscope philately pilgrimage plinth portcullis prologue quagmire quiver
ransom regatta requiem rickshaw rotunda sabotage sarabande savanna schooner scullery semaphore
serenade soliloquy sonnet sousaphone steeple stowaway tapestry tarpaulin tavern thesaurus
toboggan tollbooth trapeze troubadour tundra turret ukulele vagabond vaudeville vestibule
viaduct vineyard viola wanderlust wharf windmill yodel zeppelin ziggurat zither
"""
UNCOMMON_WORDS = tuple(_TEXT.split())
