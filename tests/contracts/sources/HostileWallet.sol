// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// A contract wallet that answers `isValidSignature` in one of the ways that have done harm.
contract HostileWallet {
    enum Way {
        Accept,
        Revert,
        RevertWithMagic,
        OtherWord,
        DirtyMagic,
        ShortAnswer,
        NoAnswer,
        LongAnswer,
        EatAllGas,
        Reenter
    }

    Way public way;
    bytes private _call;
    uint256 private _count;

    function set(Way way_, bytes calldata call_) external {
        way = way_;
        _call = call_;
    }

    fallback(bytes calldata) external returns (bytes memory) {
        bytes memory magic = abi.encode(bytes4(0x1626ba7e));
        if (way == Way.Accept) return magic;
        if (way == Way.OtherWord) return abi.encode(uint256(1));
        if (way == Way.DirtyMagic) return abi.encodePacked(bytes4(0x1626ba7e), bytes28(uint224(1)));
        if (way == Way.ShortAnswer) return abi.encodePacked(bytes4(0x1626ba7e));
        if (way == Way.NoAnswer) return "";
        if (way == Way.LongAnswer) return abi.encodePacked(magic, new bytes(100_000));
        if (way == Way.EatAllGas) while (true) _count++;
        if (way == Way.Reenter) {
            (bool done,) = msg.sender.call(_call);
            require(done, "refused");
            return magic;
        }
        assembly ("memory-safe") {
            revert(add(magic, 0x20), mul(0x20, eq(sload(0), 2)))
        }
    }
}
